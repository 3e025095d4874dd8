// What README.md shows, and what must not compile, for the test of types. It is never run.
declare function show(text: string): void;
declare const send: { onclick: unknown };
declare const box: { value: string };
import { HubError, type openapi, topicOf } from "../dist/index.js";

import { Hub } from "../dist/index.js";

const token = async () => (await fetch("/token")).text(); // asked again ahead of its end
const hub = new Hub({ url: "https://hub.example", tenant: "t_demo", env: "dev", token });
const chat = hub.topic<{ chat_message: { text: string } }>("thread/welcome");

chat.subscribe({ last: 50 }, { event: ({ routing, data }) => show(`${routing.actor_id}: ${data?.text ?? ""}`) });
send.onclick = () => chat.publish("chat_message", { text: box.value });

interface Events {
  note: number;
  run_end: { run_id: string };
}

export async function read(): Promise<void> {
  for await (const item of hub.topic<Events>("thread/x").events()) {
    if (item.t === "gap") show(item.reason);
    else if (item.t === "subscription_ended") show(item.reason);
    else if (item.t === undefined && item.type === "note") show(item.data.toFixed());
    else if (item.t === undefined && item.type === "run_end") show(item.data.run_id);
  }
  for await (const item of hub.topic("thread/x").events()) if (item.t === undefined) show(item.data.anything);
  const feed = hub.feed<Events>();
  for await (const item of feed.events({ last: 5, types: ["note"], topics: ["thread/x"] })) {
    if (item.t === undefined && item.type === "note") show(`${topicOf(item)} ${item.feed_id} ${item.data.toFixed()}`);
  }
  const subscription = feed.subscribe({ persist: true }, { event: ({ feed_id }) => show(feed_id), error: ({ code }) => show(code) });
  if (subscription.state === "live") show((await feed.page({ limit: 3, types: ["*"] })).events[0]?.feed_id ?? "");
  const { sessions } = await hub.request<openapi.SessionList>("GET", "/v1/sessions").catch((error) => {
    if (error instanceof HubError && error.code === "permission.denied") show(error.permission ?? "");
    throw error;
  });
  show(sessions[0]?.sub ?? "");
  // @ts-expect-error Nobody publishes to the feed.
  await feed.publish("note", 1);
  // @ts-expect-error The feed is not folded.
  feed.subscribe({ fold: true }, {});
  // @ts-expect-error A topic has no filters.
  chat.subscribe({ types: ["note"] }, {});
  // @ts-expect-error A note is a number.
  await hub.topic<Events>("thread/x").publish("note", "1");
  // @ts-expect-error No such type.
  await hub.topic<Events>("thread/x").publish("message", 1);
}
