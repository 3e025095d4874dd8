// Starts the page: the styles, who looks, and the frame.
import { render } from "preact";
import { App } from "./app";
import { start } from "./session";
import "./style.css";

render(<App />, document.getElementById("app")!);
void start();
