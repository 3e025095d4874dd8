// The console: one thread, live, over a WebSocket, and a box to publish.
//
// It resumes by itself from the last event that it shows. Whatever others wrote reaches the page
// through textContent alone. The token stays in the URL's fragment, which no server ever sees.
"use strict";

const SHOWN_MAX = 1000; // events kept on the page; older ones leave it
const LAST = 50; // events asked for when the page opens
const RETRY_FIRST_MS = 500;
const RETRY_MAX_MS = 15000;
const SILENCE_DEFAULT_MS = 20000; // until the hub has said how often it beats

const $ = (id) => document.getElementById(id);
const events = $("events");
const identityForm = $("identity");
const publishForm = $("publish");
const textBox = $("text");

// Who, where and how far. A new fragment makes a new session; a new connection does not.
let session = null;

function readFragment() {
  const given = new URLSearchParams(location.hash.slice(1));
  return {
    token: given.get("token") ?? "",
    tenant: given.get("tenant") ?? "t_demo",
    env: given.get("env") ?? "dev",
    topic: given.get("topic") ?? "thread/welcome",
  };
}

function start() {
  if (session) leave(session);
  const given = readFragment();
  session = { ...given, cursor: null, shown: new Set(), socket: null, attempts: 0, timer: 0, pending: null, refs: 0 };
  events.replaceChildren();
  $("topic").textContent = given.topic;
  document.title = `${given.topic} · Tambour`;
  publishForm.hidden = true;
  refused("");
  if (given.token) {
    identityForm.hidden = true;
    connect(session);
  } else {
    askForIdentity("");
  }
}

function leave(old) {
  clearTimeout(old.timer);
  clearInterval(old.beat);
  old.left = true;
  old.socket?.close();
}

// ---- the connection -------------------------------------------------------------------------

function connect(s) {
  clearTimeout(s.timer);
  state("connecting", s.attempts ? "connecting again" : "connecting");
  const url = new URL("/v1/ws", location.href);
  url.protocol = url.protocol.replace("http", "ws");
  url.hash = "";
  const socket = new WebSocket(url);
  s.socket = socket;
  s.retryAfterMs = 0;
  s.heard = true;
  const current = () => s === session && s.socket === socket && !s.left;
  socket.onopen = () => current() && send(s, { t: "hello", token: s.token, tenant_id: s.tenant, env: s.env });
  socket.onmessage = ({ data }) => {
    if (!current()) return;
    s.heard = true;
    take(s, JSON.parse(data));
  };
  socket.onclose = ({ code, reason }) => current() && lost(s, code, reason);
  watch(s, SILENCE_DEFAULT_MS);
}

// A page does not see the hub's pings, so it sends its own: a connection that is dead without
// having said so is found by its silence.
function watch(s, everyMs) {
  clearInterval(s.beat);
  s.beat = setInterval(() => {
    if (!s.heard) {
      const silent = s.socket;
      lost(s, 1006, "");
      silent.close();
      return;
    }
    s.heard = false;
    if (s.socket.readyState === WebSocket.OPEN) send(s, { t: "ping" });
  }, everyMs);
}

function send(s, frame) {
  s.socket.send(JSON.stringify(frame));
}

function lost(s, code, reason) {
  clearInterval(s.beat);
  s.socket = null;
  if (s.pending) {
    refused("The connection broke before the hub answered: your message may or may not be published. It is still in the box.");
    settle(s);
  }
  if ([4400, 4401, 4403].includes(code)) {
    askForIdentity(s.error || reason || "The hub does not accept this token here.");
    return;
  }
  if (code === 1003 || code === 4404) {
    stop(s.error || reason || `the hub ended the session (${code})`);
    return;
  }
  const backoff = Math.min(RETRY_MAX_MS, RETRY_FIRST_MS * 2 ** Math.min(s.attempts, 10));
  const waitMs = Math.max(backoff, s.retryAfterMs) * (1 + Math.random() / 2);
  s.attempts += 1;
  s.timer = setTimeout(() => connect(s), waitMs);
  state("waiting", "connection lost, waiting for the hub");
}

function take(s, frame) {
  switch (frame.t) {
    case "welcome": {
      s.error = "";
      if (frame.heartbeat_seconds > 0) watch(s, frame.heartbeat_seconds * 1000);
      const from = s.cursor ? { after: s.cursor } : { last: LAST };
      send(s, { t: "subscribe", ref: "subscribe", topic: s.topic, ...from });
      break;
    }
    case "subscribed":
      s.attempts = 0;
      s.cursor = frame.cursor;
      state("live", "live");
      publishForm.hidden = false;
      break;
    case "event":
      show(s, frame.event);
      break;
    case "gap":
      note(gapText(frame));
      break;
    case "published":
      if (frame.ref === s.pending) {
        textBox.value = "";
        refused("");
        settle(s);
      }
      break;
    case "error":
      failed(s, frame);
      break;
    case "subscription_ended":
      stop(frame.reason === "deleted" ? "the thread was deleted" : "the thread is closed");
      break;
    case "token_expiring":
      state("live", `live; the token expires at ${new Date(frame.expires_at).toLocaleTimeString()}`);
      break;
    case "reconnect":
      s.retryAfterMs = frame.retry_after_ms;
      break;
  }
}

function failed(s, { ref, code, status, detail }) {
  s.error = `${code}: ${detail}`;
  if (ref === "subscribe") {
    // What the hub can't do now it may do later: come back. The rest stays as it is.
    if (status >= 500 || status === 429) s.socket.close();
    else stop(s.error);
  } else if (ref !== undefined && ref === s.pending) {
    refused(s.error);
    settle(s);
  }
}

// Nothing more will come: no reconnecting, no publishing.
function stop(why) {
  leave(session);
  publishForm.hidden = true;
  state("stopped", why);
}

function askForIdentity(why) {
  leave(session);
  for (const name of ["token", "tenant", "env", "topic"]) identityForm.elements[name].value = session[name];
  $("why").textContent = why;
  identityForm.hidden = false;
  publishForm.hidden = true;
  state("stopped", "not connected");
}

// ---- what is seen ---------------------------------------------------------------------------

function state(name, text) {
  $("state").dataset.state = name;
  $("state").textContent = text;
}

function element(tag, className, text) {
  const made = document.createElement(tag);
  made.className = className;
  made.textContent = text;
  return made;
}

function show(s, event) {
  s.cursor = event.id;
  if (s.shown.has(event.id)) return;
  s.shown.add(event.id);

  const item = document.createElement("li");
  item.dataset.id = event.id;
  const time = element("time", "", new Date(event.time).toLocaleTimeString());
  time.dateTime = event.time;
  time.title = `${event.time}, event ${event.seq}`;
  const said = typeof event.data?.text === "string";
  const text = element("span", "text", said ? event.data.text : JSON.stringify(event.data));
  text.dir = "auto";
  if (event.type !== "chat_message") text.prepend(element("span", "type", event.type));
  item.append(time, element("span", "actor", event.routing.actor_id), text);
  append(s, item);
}

function gapText({ reason, oldest }) {
  const why = { trimmed: "older events were trimmed away", reset: "the thread was made anew" }[reason];
  return `Events are missing here: ${why ?? "the hub does not know the place this page was at"}. What is kept follows${oldest ? "" : ", and that is nothing"}.`;
}

function note(text) {
  const item = element("li", "note", text);
  item.dataset.note = "gap";
  append(session, item);
}

function append(s, item) {
  // Who has scrolled up is reading: the page stays where it is.
  const atEnd = events.scrollHeight - events.scrollTop - events.clientHeight < 40;
  events.append(item);
  while (events.childElementCount > SHOWN_MAX) {
    s.shown.delete(events.firstElementChild.dataset.id);
    events.firstElementChild.remove();
  }
  if (atEnd) events.scrollTop = events.scrollHeight;
}

function refused(text) {
  $("refused").textContent = text;
}

// ---- what the reader does -------------------------------------------------------------------

function settle(s) {
  s.pending = null;
  publishForm.querySelector("button").disabled = false;
}

publishForm.addEventListener("submit", (submitted) => {
  submitted.preventDefault();
  const s = session;
  if (s.pending || !textBox.value) return;
  if (s.socket?.readyState !== WebSocket.OPEN) {
    refused("Not connected. Your message is still in the box.");
    return;
  }
  s.refs += 1;
  s.pending = `publish-${s.refs}`;
  publishForm.querySelector("button").disabled = true;
  refused("");
  send(s, { t: "publish", ref: s.pending, topic: s.topic, type: "chat_message", data: { text: textBox.value } });
});

identityForm.addEventListener("submit", (submitted) => {
  submitted.preventDefault();
  const given = new URLSearchParams();
  for (const name of ["token", "tenant", "env", "topic"]) given.set(name, identityForm.elements[name].value.trim());
  const before = location.hash;
  location.hash = given.toString();
  if (location.hash === before) start();
});

addEventListener("hashchange", start);
addEventListener("online", () => session && !session.socket && !session.left && connect(session));
start();
