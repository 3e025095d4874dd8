// Starts the page: the styles, who looks, and the frame.
// First, so that the styles of a view come behind it.
import "./style.css";
import { render } from "preact";
import { App } from "./app";
import { followed, start } from "./session";

render(<App />, document.getElementById("app")!);
addEventListener("hashchange", followed);
void start();
