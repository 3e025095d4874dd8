// How the console is built: into dist/, which is committed and embedded in the binary. Names are fixed, because the binary
// lists them, and so that what is committed has no more changes than its content; freshness is by ETag.
//
// `vite build` makes the page, `vite build --mode client` the client in one file, which the page imports like any other page.
import { fileURLToPath } from "node:url";
import { defineConfig } from "vite";

const at = (path: string) => fileURLToPath(new URL(path, import.meta.url));
const client = at("../clients/typescript/src/index.ts");
/** The hub that `npm run dev` is in front of. */
const hub = process.env.TAMBOUR_URL ?? "http://127.0.0.1:8080";
const behind = { target: hub, changeOrigin: true, ws: true, headers: { origin: hub } };

export default defineConfig(({ command, mode }) => {
  const page = {
    cssCodeSplit: false,
    assetsInlineLimit: 0,
    rolldownOptions: {
      external: ["@tambour/client"],
      output: {
        paths: { "@tambour/client": "/client.js" },
        entryFileNames: "app.js",
        assetFileNames: "app[extname]",
      },
    },
  };
  const library = {
    emptyOutDir: false,
    copyPublicDir: false,
    lib: { entry: client, formats: ["es" as const], fileName: () => "client.js" },
    // A library keeps its blanks unless it is told otherwise.
    rolldownOptions: { output: { minify: true } },
  };
  return {
    base: "/console/",
    resolve: { alias: command === "serve" ? [{ find: "@tambour/client", replacement: client }] : [] },
    server: { proxy: { "/v1": behind, "/readyz": behind, "/console/sign-in": behind } },
    build: { target: "es2022", modulePreload: false, ...(mode === "client" ? library : page) },
  };
});
