// The types of the hub's HTTP interface. Made from openapi.json by `npm run types`; not to be changed by hand.
// It holds types alone, and never says what a hub does with them: docs/protocol.md does.

/** An action, as the `operationId`s name it. */
export type Action = string;

/** An action, or how one begins, with `*` behind. */
export type ActionFilter = string;

/** The rate of one action. */
export type ActionLimit = {
  action: string;
  per_minute: number;
};

/** What kind of sender: a person, or one of two kinds of programs. */
export type ActorType = "human" | "agent" | "system";

export type ArrayEntry = EventOfArray | {
  append: {
    data: string;
    /** The event that gets the text. */
    event_id: Cursor;
  };
};

/** Whom a service key asks a token for. */
export type AskFor = {
  /** At most the key's own. */
  role: Role;
  sub: Sub;
};

/** The body that asks for a token. */
export type AskToken = {
  /** Of service keys: whom it is for. */
  for?: AskFor;
  /** `["read"]` when it is missing; with `write` a WebSocket that it opened may publish. */
  rights?: StreamRights;
  /** It opens one stream, and is then worth nothing. */
  single_use?: boolean;
  topics?: Array<TopicOrFeed>;
  /** How long it lives without a stream, in seconds; `tokens.ttl_seconds` when it is missing. */
  ttl_seconds?: TokenTtl;
};

/** How many there may be. */
export type AtMost = {
  max: number;
};

/** Who did it. */
export type AuditActor = {
  /** On whose behalf. */
  acts_for?: Sub;
  role: Role;
  sub: Sub;
  type: ActorType;
};

/** An entry: its text as it was written, and its hash behind the rest. */
export type AuditEntry = {
  /** The action of the route, which is the `operationId` of its operation. */
  action: string;
  actor: AuditActor;
  /** How many things were changed or ended. */
  affected_count: number;
  /** What changed, as it is. */
  after?: Record<string, unknown>;
  /** What changed, as it was. */
  before?: Record<string, unknown>;
  /** Of what was refused: the code of the refusal. */
  code?: string | null;
  /** What was counted at that moment. */
  count_snapshot?: Record<string, unknown>;
  env: Env;
  /** SHA-256 of the entry's text without this member. */
  hash: AuditHash;
  /** The client's address; of IPv6 its /64. */
  ip?: string | null;
  outcome: AuditOutcome;
  /** The hash of the entry before; of the first one zeros. */
  prev: AuditHash;
  /** Absent of frames of a WebSocket. */
  request_id?: string | null;
  /** To what. */
  resource: string;
  /** 1, 2, 3… in the tenant and env. */
  seq: Seq;
  /** Refusals of the same principal before this one that have no entry. */
  suppressed?: number | null;
  tenant_id: Tenant;
  time: Time;
  trace_id?: string | null;
};

/** What a file of entries is. */
export type AuditFormat = "ndjson" | "json" | "csv";

/** SHA-256 in hexadecimal. */
export type AuditHash = string;

/** An entry, to remember it by. */
export type AuditHead = {
  hash: AuditHash;
  seq: Seq;
};

/** Entries, the newest first. */
export type AuditList = {
  entries: Array<AuditEntry>;
  /** Whether there are more: `before` the seq of the last. */
  has_more: boolean;
};

/** How what an entry of the audit tells of ended. */
export type AuditOutcome = "done" | "refused";

/** To what something was done, as entries of the audit name it: bytes are counted. */
export type AuditResource = string;

/** Whether a chain is whole. */
export type AuditVerdict = {
  /** How many were found good. */
  entries: number;
  /** The first that is not as it was written. */
  first_bad?: number | null;
  /** The newest of them: who remembers it can tell later whether it is there still. */
  head: AuditHead;
  /** Whether every entry is as it was written, and none is missing. */
  ok: boolean;
  /** What is wrong with it. */
  why?: string | null;
};

/** How many bytes of bodies may be in hand at once. */
export type BodyLimits = {
  /** In all. */
  all: AtMost;
  /** Of the caller. */
  principal: InUse;
};

/** What a member may do. */
export type Can = "read" | "write";

/** Canvases, ascending by id. */
export type CanvasList = {
  /** The canvases. */
  canvases: Array<Topic>;
  /** Whether there are more behind the last. */
  has_more: boolean;
};

/** The body of a change: what is left out stays. */
export type ChangeTopic = {
  title?: Title | null;
  visibility?: Visibility;
};

/** An id of a stream of several topics, or `earliest`: the oldest events that are kept. */
export type CompositeOrEarliest = string;

/** The id of a connection, a UUID. */
export type ConnectionId = string;

/** How many connections there may be. */
export type ConnectionLimits = {
  /** In all. */
  all: AtMost;
  /** Of the caller's address. */
  ip: InUse;
  /** Of the caller. */
  principal: InUse;
  /** Of the caller's tenant in this env. */
  tenant: InUse;
};

/** The body of a new key. */
export type CreateKey = {
  actor_type: KeyActorType;
  /** When it expires; never when it is missing. */
  expires_at?: Time;
  /** For people. */
  name: KeyName;
  /** Beside those of the role. */
  permissions?: Array<Permission>;
  role: Role;
};

/** A member from the beginning. */
export type CreateMember = {
  can?: Can | null;
  sub: Sub;
};

/** The body of a create. */
export type CreateTopic = {
  /** Who has made it: service keys alone say it of others. */
  creator?: Sub;
  id?: TopicId | null;
  members?: Array<CreateMember>;
  title?: Title | null;
  visibility?: Visibility | null;
};

/** A cursor: opaque, good for one life of one topic. */
export type Cursor = string;

/** A cursor, or `earliest`: the oldest event that is kept. */
export type CursorOrEarliest = string;

/** A cursor, or `empty`: no event was ever written. */
export type CursorOrEmpty = string;

/** How many sessions were ended. */
export type Ended = {
  ended: number;
};

export type Entries = {
  events: Array<ArrayEntry>;
  /** Written only if this is the topic's newest event. */
  expect?: CursorOrEmpty;
  idempotency_key?: IdempotencyKey;
};

export type Entry = EventEntry | {
  append: {
    data: string;
    /** The event that gets the text. */
    event_id: Cursor;
  };
  /** Written only if this is the topic's newest event. */
  expect?: CursorOrEmpty;
  idempotency_key?: IdempotencyKey;
};

/** An env. */
export type Env = "dev" | "staging" | "prod";

/** An event of a topic's log. */
export type Event = {
  /** What was published; `null` once it is redacted. */
  data: unknown;
  /** In the feed: where it stands there. */
  feed_id?: Cursor;
  /** With `fold=true`: what was appended to it. */
  fold?: Fold;
  /** The event's cursor. */
  id: Cursor;
  /** The request that published it. */
  meta: Meta;
  /** True where the data was taken away. */
  redacted?: boolean;
  /** Where it belongs, and who sent it. */
  routing: Routing;
  /** The event's place. */
  seq: Seq;
  /** When it was written. */
  time: Time;
  /** What it is. */
  type: EventType;
  v: 1;
};

export type EventEntry = {
  /** Any JSON of at most 64 KiB. */
  data: unknown;
  /** Written only if this is the topic's newest event. */
  expect?: CursorOrEmpty;
  idempotency_key?: IdempotencyKey;
  type: string;
} | {
  data: {
    parts?: Array<unknown> | null;
    reply_to?: string | null;
    role?: string | null;
    text?: string | null;
  };
  /** Written only if this is the topic's newest event. */
  expect?: CursorOrEmpty;
  idempotency_key?: IdempotencyKey;
  type: "chat_message";
} | {
  data: {
    index?: number | null;
    run_id?: string | null;
    text: string;
  };
  /** Written only if this is the topic's newest event. */
  expect?: CursorOrEmpty;
  idempotency_key?: IdempotencyKey;
  type: "token_chunk";
} | {
  data: {
    model?: string | null;
    provider?: string | null;
    run_id?: string | null;
  };
  /** Written only if this is the topic's newest event. */
  expect?: CursorOrEmpty;
  idempotency_key?: IdempotencyKey;
  type: "run_start";
} | {
  data: {
    event_id?: string | null;
    reason?: string | null;
    run_id?: string | null;
    usage?: Record<string, unknown> | null;
  };
  /** Written only if this is the topic's newest event. */
  expect?: CursorOrEmpty;
  idempotency_key?: IdempotencyKey;
  type: "run_end";
} | {
  data: {
    event_id?: string | null;
    reason?: string | null;
    run_id?: string | null;
  };
  /** Written only if this is the topic's newest event. */
  expect?: CursorOrEmpty;
  idempotency_key?: IdempotencyKey;
  type: "stop";
} | {
  data: {
    arguments?: Record<string, unknown> | null;
    id?: string | null;
    name: string;
    provider?: string | null;
    run_id?: string | null;
  };
  /** Written only if this is the topic's newest event. */
  expect?: CursorOrEmpty;
  idempotency_key?: IdempotencyKey;
  type: "tool_call";
} | {
  data: {
    error?: string | null;
    id: string;
  };
  /** Written only if this is the topic's newest event. */
  expect?: CursorOrEmpty;
  idempotency_key?: IdempotencyKey;
  type: "tool_result";
} | {
  data: {
    code?: string | null;
    message?: string | null;
    run_id?: string | null;
  };
  /** Written only if this is the topic's newest event. */
  expect?: CursorOrEmpty;
  idempotency_key?: IdempotencyKey;
  type: "error";
} | {
  data: {
    ops?: Array<unknown> | null;
    rev?: number | null;
  };
  /** Written only if this is the topic's newest event. */
  expect?: CursorOrEmpty;
  idempotency_key?: IdempotencyKey;
  type: "canvas_commit";
} | {
  data: {
    reason?: string | null;
    status: string;
  };
  /** Written only if this is the topic's newest event. */
  expect?: CursorOrEmpty;
  idempotency_key?: IdempotencyKey;
  type: "status";
} | {
  data: {
    role?: string | null;
    run_id?: string | null;
    text?: string | null;
  };
  /** Written only if this is the topic's newest event. */
  expect?: CursorOrEmpty;
  idempotency_key?: IdempotencyKey;
  type: "message";
} | {
  data: {
    text?: string | null;
  };
  /** Written only if this is the topic's newest event. */
  expect?: CursorOrEmpty;
  idempotency_key?: IdempotencyKey;
  type: "system";
} | {
  data: {
    action?: string | null;
    decision?: string | null;
    id?: string | null;
  };
  /** Written only if this is the topic's newest event. */
  expect?: CursorOrEmpty;
  idempotency_key?: IdempotencyKey;
  type: "approval";
} | {
  data: {
    reason?: string | null;
  };
  /** Written only if this is the topic's newest event. */
  expect?: CursorOrEmpty;
  idempotency_key?: IdempotencyKey;
  type: "ended";
} | {
  data: {
    seconds?: number | null;
  };
  /** Written only if this is the topic's newest event. */
  expect?: CursorOrEmpty;
  idempotency_key?: IdempotencyKey;
  type: "stall";
} | {
  data: {
    reason?: string | null;
  };
  /** Written only if this is the topic's newest event. */
  expect?: CursorOrEmpty;
  idempotency_key?: IdempotencyKey;
  type: "dead";
} | {
  data: {
    name?: string | null;
    phase?: string | null;
  };
  /** Written only if this is the topic's newest event. */
  expect?: CursorOrEmpty;
  idempotency_key?: IdempotencyKey;
  type: "hook";
} | {
  data: {
    id?: string | null;
    name?: string | null;
  };
  /** Written only if this is the topic's newest event. */
  expect?: CursorOrEmpty;
  idempotency_key?: IdempotencyKey;
  type: "subagent_start";
} | {
  data: {
    id?: string | null;
    reason?: string | null;
  };
  /** Written only if this is the topic's newest event. */
  expect?: CursorOrEmpty;
  idempotency_key?: IdempotencyKey;
  type: "subagent_stop";
} | {
  data: {
    details?: string | null;
    name?: string | null;
    passed?: boolean | null;
  };
  /** Written only if this is the topic's newest event. */
  expect?: CursorOrEmpty;
  idempotency_key?: IdempotencyKey;
  type: "verification";
} | {
  data: {
    action?: string | null;
    reason?: string | null;
  };
  /** Written only if this is the topic's newest event. */
  expect?: CursorOrEmpty;
  idempotency_key?: IdempotencyKey;
  type: "permission_denied";
} | {
  data: {
    name?: string | null;
    state?: string | null;
  };
  /** Written only if this is the topic's newest event. */
  expect?: CursorOrEmpty;
  idempotency_key?: IdempotencyKey;
  type: "circuit_breaker";
} | {
  data: {
    seconds?: number | null;
  };
  /** Written only if this is the topic's newest event. */
  expect?: CursorOrEmpty;
  idempotency_key?: IdempotencyKey;
  type: "heartbeat";
} | {
  data: {
    action?: string | null;
    counts?: Record<string, unknown> | null;
    duration_ms?: number | null;
    error?: string | null;
    phase?: string | null;
    worker?: string | null;
  };
  /** Written only if this is the topic's newest event. */
  expect?: CursorOrEmpty;
  idempotency_key?: IdempotencyKey;
  type: "activity";
};

/** What an event may be, and what is published. */
export type EventLimits = {
  appended_bytes_max: number;
  backlog_bytes_max: number;
  batch_bytes_max: number;
  batch_events_max: number;
  data_bytes_max: number;
  data_depth_max: number;
  line_bytes_max: number;
  type_bytes_max: number;
};

export type EventOfArray = {
  /** Any JSON of at most 64 KiB. */
  data: unknown;
  type: string;
} | {
  data: {
    parts?: Array<unknown> | null;
    reply_to?: string | null;
    role?: string | null;
    text?: string | null;
  };
  type: "chat_message";
} | {
  data: {
    index?: number | null;
    run_id?: string | null;
    text: string;
  };
  type: "token_chunk";
} | {
  data: {
    model?: string | null;
    provider?: string | null;
    run_id?: string | null;
  };
  type: "run_start";
} | {
  data: {
    event_id?: string | null;
    reason?: string | null;
    run_id?: string | null;
    usage?: Record<string, unknown> | null;
  };
  type: "run_end";
} | {
  data: {
    event_id?: string | null;
    reason?: string | null;
    run_id?: string | null;
  };
  type: "stop";
} | {
  data: {
    arguments?: Record<string, unknown> | null;
    id?: string | null;
    name: string;
    provider?: string | null;
    run_id?: string | null;
  };
  type: "tool_call";
} | {
  data: {
    error?: string | null;
    id: string;
  };
  type: "tool_result";
} | {
  data: {
    code?: string | null;
    message?: string | null;
    run_id?: string | null;
  };
  type: "error";
} | {
  data: {
    ops?: Array<unknown> | null;
    rev?: number | null;
  };
  type: "canvas_commit";
} | {
  data: {
    reason?: string | null;
    status: string;
  };
  type: "status";
} | {
  data: {
    role?: string | null;
    run_id?: string | null;
    text?: string | null;
  };
  type: "message";
} | {
  data: {
    text?: string | null;
  };
  type: "system";
} | {
  data: {
    action?: string | null;
    decision?: string | null;
    id?: string | null;
  };
  type: "approval";
} | {
  data: {
    reason?: string | null;
  };
  type: "ended";
} | {
  data: {
    seconds?: number | null;
  };
  type: "stall";
} | {
  data: {
    reason?: string | null;
  };
  type: "dead";
} | {
  data: {
    name?: string | null;
    phase?: string | null;
  };
  type: "hook";
} | {
  data: {
    id?: string | null;
    name?: string | null;
  };
  type: "subagent_start";
} | {
  data: {
    id?: string | null;
    reason?: string | null;
  };
  type: "subagent_stop";
} | {
  data: {
    details?: string | null;
    name?: string | null;
    passed?: boolean | null;
  };
  type: "verification";
} | {
  data: {
    action?: string | null;
    reason?: string | null;
  };
  type: "permission_denied";
} | {
  data: {
    name?: string | null;
    state?: string | null;
  };
  type: "circuit_breaker";
} | {
  data: {
    seconds?: number | null;
  };
  type: "heartbeat";
} | {
  data: {
    action?: string | null;
    counts?: Record<string, unknown> | null;
    duration_ms?: number | null;
    error?: string | null;
    phase?: string | null;
    worker?: string | null;
  };
  type: "activity";
};

/** Consecutive events, ascending. */
export type EventPage = {
  /** Where the next page begins: `after` of the next request. */
  cursor: PageCursor;
  /** The events. */
  events: Array<Event>;
  /** Whether there is more behind it now. */
  has_more: boolean;
  /** The newest; before `oldest` where there is none. */
  newest: Cursor;
  /** The oldest event that is kept. */
  oldest: Cursor;
};

/** The type of an event. */
export type EventType = string;

/** Names of topics with commas between them; `system/tenant` is what happens beside topics. */
export type FeedTopics = string;

/** Types of events, or what they begin with and then `*`, with commas between them. */
export type FeedTypes = string;

/** What was appended to an event. */
export type Fold = {
  /** How many appends it was; as `text`. */
  appends?: number;
  /** All of it, joined; none any more, where the event was redacted. */
  text?: string;
  /** The cursor of the last of them: what is appended behind it is still to be added. */
  until: Cursor;
};

/** Why a cursor can't be honoured. */
export type GoneReason = "trimmed" | "reset" | "unknown";

/** How the hub is. */
export type Health = {
  /** In a word. */
  status: HealthStatus;
};

/** How the hub is, in a word. */
export type HealthStatus = "ok" | "ready" | "starting" | "draining" | "store_full" | "store_failing";

/** How long live deliveries took, from the publish to the write. Replays are not in it. */
export type Histogram = {
  /** Upper bounds of the buckets in seconds, each included. */
  bounds: Array<number>;
  /** How many there are in each bucket, not added up; the last is for those above every bound. */
  counts: Array<number>;
};

/** What the whole hub does. */
export type HubStats = ScopeStats & {
  /** Time spent in them. */
  commit_seconds_total: number;
  /** Commits to the disk. */
  commits_total: number;
  /** CPU that the process has used. */
  cpu_seconds_total: number;
  /** Resident memory of the process, where the system tells it. */
  memory_bytes?: number;
  /** Size of the database file, without the write-ahead log beside it. */
  store_bytes?: number;
  /** Whether the store has no room for what is to be written. */
  store_full: boolean;
  /** Calls that wait for the store's writer. */
  write_queue: number;
};

/** The writer's own name for a write, for 24 hours. The same again has the first answer; another body is refused. */
export type IdempotencyKey = string;

/** How many there may be, and how many there are. */
export type InUse = {
  max: number;
  used: number;
};

/** A new token, shown once. */
export type Issued = {
  /** When it runs out, if no stream holds it by then. */
  expires_at: Time;
  /** The same in seconds from now. */
  expires_in: number;
  /** The token. */
  token: StreamToken;
};

/** The id of a main token, its claim `jti`: bytes are counted. */
export type Jti = string;

/** A service key as clients see it. */
export type Key = {
  actor_type: KeyActorType;
  created_at: Time;
  /** Who had it made. */
  created_by: Sub;
  env: Env;
  expires_at?: Time;
  /** Also the `sub` of what it does. */
  id: KeyId;
  name: KeyName;
  /** Beside those of the role. */
  permissions: Array<Permission>;
  role: Role;
  /** When it got the token that it has now. */
  rotated_at?: Time;
  tenant_id: Tenant;
  /** How long the token that it had before is good. */
  token_before_until?: Time;
};

/** What kind of sender a service key is: a program that acts by itself, or one that is part of the tenant's systems. */
export type KeyActorType = "agent" | "system";

/** The id of a service key. */
export type KeyId = string;

/** Service keys, ascending by id. */
export type KeyList = {
  /** Whether there are more behind the last. */
  has_more: boolean;
  /** The keys. */
  keys: Array<Key>;
};

/** A name for people: bytes are counted, and none of it is a control character. */
export type KeyName = string;

/** The token of a service key. */
export type KeyToken = string;

/** A service key with its token, which is told this once. */
export type KeyWithToken = Key & {
  /** To be kept where secrets are: nobody can show it again. */
  token: KeyToken;
};

/** What is switched off. */
export type KillSwitch = {
  changed_at?: Time;
  /** Who said it last. Missing where nothing was ever switched off. */
  changed_by?: Sub;
  /** Whether agents may only read. */
  disable_autonomy: boolean;
  disable_providers: Array<Provider>;
  /** Actions, families of them, or `*`. */
  disabled_actions: Array<SwitchedAction>;
  reason?: Reason;
};

/** How many events before the head a reader starts. */
export type Last = number;

/** What is in force. */
export type Limits = {
  bodies: BodyLimits;
  connections: ConnectionLimits;
  events: EventLimits;
  pages: PageLimits;
  rates: RateLimits;
  requests: RequestLimits;
  session: SessionLimits;
  stream_tokens: StreamTokenLimits;
  threads: ThreadLimits;
};

export type Line = EventEntry | {
  append: {
    data: string;
    /** The event that gets the text. */
    event_id?: Cursor;
  };
  /** Written only if this is the topic's newest event. */
  expect?: CursorOrEmpty;
  idempotency_key?: IdempotencyKey;
};

/** How many topics a list has at most. */
export type ListLimit = number;

/** A member as clients see them. */
export type Member = {
  can: Can;
  sub: Sub;
};

/** The request that published an event. */
export type Meta = {
  /** Its id. */
  request_id: string;
  /** That of the trace it was part of. */
  trace_id: string;
};

/** A cursor to read on from: an event's, or a page's, which in the feed may say besides how far retention had come. */
export type PageCursor = string;

/** How many events a page has at most. */
export type PageLimit = number;

/** What a page may be. */
export type PageLimits = {
  bytes_max: number;
  last_max: number;
  limit_default: number;
  limit_max: number;
  wait_seconds_max: number;
};

/** A permission key. */
export type Permission = "threads:read" | "threads:write" | "canvases:read" | "canvases:write" | "sessions:read" | "sessions:write" | "keys:write" | "principals:write" | "principals:act" | "feed:read" | "audit:read" | "kill_switches:write" | "principals:sign_in" | "stats:read";

/** Where an event stands. */
export type Place = {
  /** Its cursor. */
  id: Cursor;
  seq: Seq;
};

/** Where the events of an array, or of lines, stand. */
export type Places = {
  /** How many they are. */
  count: number;
  /** The first of them. */
  first: Place;
  /** The last of them. */
  last: Place;
};

/** What is said of a principal beside their tokens. */
export type Principal = {
  /** It reaches them where their tokens give no higher role than this: that of who said it. */
  authority?: Role;
  changed_at?: Time;
  /** Who said it. */
  changed_by?: Sub;
  /** Tokens that were made up to then are revoked. */
  revoked_at?: Time;
  /** In place of what their tokens give. */
  role?: Role;
  /** Of whom nothing is said: `active`. */
  state: PrincipalState;
  sub: Sub;
};

/** Whether somebody may come in. */
export type PrincipalState = "active" | "suspended";

/** What every refusal says, and how. */
export type Problem = {
  /** Of NDJSON: how many lines are written. */
  accepted?: number;
  /** With `kill_switch.blocked`: the action that is switched off. */
  action?: Action;
  /** What to program against. */
  code: string;
  /** With `cursor.gone`: as `after`, it gives everything that is kept, as a stream does. */
  cursor?: PageCursor;
  /** What the caller can do about it. Not to be programmed against. */
  detail: string;
  /** With `expect.mismatch`: the newest event. */
  head?: Cursor;
  /** Of NDJSON: the number of the line, from 1. */
  line?: number;
  /** With `cursor.gone`: as on a page. */
  newest?: Cursor;
  /** With `cursor.gone`: as on a page. */
  oldest?: Cursor;
  /** With `permission.denied`: the permission key that is lacking. */
  permission?: Permission;
  /** With `kill_switch.blocked`: the provider that is switched off. */
  provider?: Provider;
  /** With `cursor.gone`: why. */
  reason?: GoneReason;
  /** As in `X-Request-Id`. */
  request_id: string;
  /** Of a rate: in how many milliseconds to try again. */
  retry_after_ms?: number;
  /** The status of the answer. */
  status: number;
  /** What the code says, in a few words. */
  title: string;
  /** `urn:tambour:problem:` and the code. */
  type: string;
};

/** A provider of models or tools, as `run_start` and `tool_call` name it. */
export type Provider = string;

/** The body: what is to be switched off, in place of everything that is. */
export type PutKillSwitch = {
  /** Whether agents may only read. */
  disable_autonomy?: boolean;
  /** Providers that no `run_start` and no `tool_call` may name; at most 64. */
  disable_providers?: Array<Provider>;
  /** Actions by their names, families of them, or `*` for all; at most 64. */
  disabled_actions?: Array<SwitchedAction>;
  reason?: Reason;
};

/** The body of a member. */
export type PutMember = {
  /** `write` when it is missing. */
  can?: Can;
};

/** The body of what is ordered of a principal. */
export type PutPrincipal = {
  /** In place of the role and the permission keys that their tokens give. What their tokens give, when it is missing. */
  role?: Role;
  state: PrincipalState;
};

/** How often something may be done in 60 s; 0 is no limit. Where the caller stands is in the `RateLimit-*` headers of what is rated. */
export type RateLimits = {
  /** Each other action of the caller's tenant in this env. */
  action_per_minute: number;
  /** Actions with a rate of their own. */
  actions: Array<ActionLimit>;
  /** Tokens of the caller's address that are not accepted. */
  bad_tokens_per_minute: number;
  /** Part of each of them, in percent, that the caller alone may use. */
  principal_share_percent: number;
  /** Publishes of the caller. */
  publish_per_minute: number;
};

/** How far a session is with a topic. */
export type Reading = {
  /** Events up to here were written to its socket. */
  cursor: Cursor;
  /** The newest event. */
  head: Cursor;
  /** How many events are between the two. */
  lag: number;
  topic: TopicName;
};

/** Why, for people: bytes are counted, and none of it is a control character. */
export type Reason = string;

/** What a request may be. */
export type RequestLimits = {
  body_bytes_max: number;
  body_timeout_ms: number;
  head_timeout_ms: number;
  headers_bytes_max: number;
  headers_max: number;
  keep_alive_seconds: number;
  ndjson_idle_seconds: number;
  target_bytes_max: number;
};

/** What was revoked. */
export type Revocation = {
  /** It reaches tokens that give no higher role than this: that of who revoked them. */
  authority: Role;
  /** Of a `jti`: when the token expires. Missing: the revocation is kept for ever. */
  expires_at?: Time;
  jti?: Jti;
  /** Of a `sub`: tokens that were made up to then are revoked. */
  revoked_at: Time;
  sub?: Sub;
};

/** The body of a revocation: one of the two. */
export type Revoke = {
  /** Of a `jti`: when the token expires, its `exp`. The revocation is kept until then and a little longer; without it, for ever. */
  expires_at?: Time;
  /** The id of one main token. */
  jti?: Jti;
  /** Whose tokens, all that were made so far. */
  sub?: Sub;
};

/** What somebody is in a tenant. */
export type Role = "owner" | "admin" | "member" | "viewer";

/** Where an event belongs, and who sent it. */
export type Routing = {
  /** Who sent it, by their token. */
  actor_id: Sub;
  /** What sent it, by its token. */
  actor_type: ActorType;
  /** On whose behalf a service key sent it. */
  acts_for?: Sub;
  /** `X-App-Id` of the request. */
  app_id?: string;
  /** The canvas, if it is one's. */
  canvas_id?: TopicId;
  /** `X-Device-Id` of the request. */
  device_id?: string;
  /** The env. */
  env: Env;
  /** `X-Project-Id` of the request. */
  project_id?: string;
  /** `X-Run-Id` of the request. */
  run_id?: string;
  /** `X-Step-Id` of the request. */
  step_id?: string;
  /** `X-Surface-Id` of the request. */
  surface_id?: string;
  /** `tenant`, if it tells of what happened beside topics. */
  system_id?: string;
  /** The tenant. */
  tenant_id: Tenant;
  /** The thread, if it is one's. */
  thread_id?: TopicId;
};

/** A routing key. */
export type RoutingKey = string;

/** What one tenant and env does, or all of them together. */
export type ScopeStats = {
  /** Whether every worker of the hub has told in time how far its readers are behind. */
  complete: boolean;
  /** Connections that there are. */
  connections: number;
  /** Events that were written to readers' connections, each once for each reader. */
  deliveries_total: number;
  delivery_seconds: Histogram;
  /** Events that were committed to threads and canvases. */
  events_total: number;
  /** How many events the most behind of them is; readers of the feed are left out. */
  lag_events_max: number;
  /** Subscriptions: a connection that reads two threads is two readers. */
  readers: number;
  /** Of those, how many have not been written the newest event. */
  readers_behind: number;
  /** Threads, canvases and the feed that are in memory. */
  topics_awake: number;
};

/** The place of an event in its topic: 1, 2, 3… without holes. 0 is before the first. */
export type Seq = number;

/** A session. */
export type Session = {
  actor_type: ActorType;
  connection_id: ConnectionId;
  /** The address; of IPv6 its /64. */
  from: string;
  role: Role;
  since: Time;
  sub: Sub;
  /** What it reads. */
  topics: Array<Reading>;
  wire: WireName;
};

/** What a session may be. */
export type SessionLimits = {
  expiry_warning_seconds: number;
  frame_bytes_max: number;
  hello_timeout_ms: number;
  messages_per_second: number;
  publishes_in_flight_max: number;
  sse_comment_seconds: number;
  sse_retry_ms: number;
  stall_seconds: number;
  topics_max: number;
  ws_ping_seconds: number;
};

/** Sessions, ascending by connection, which is the order in which they began. */
export type SessionList = {
  /** Whether every worker of the hub has answered within a second. Sessions of those that have not are missing. */
  complete: boolean;
  /** Whether there are more behind the last. */
  has_more: boolean;
  sessions: Array<Session>;
};

/** The body. */
export type SignIn = {
  /** As whom; left out: `ada`. */
  sub?: Sub;
};

/** Who is signed in. */
export type SignedIn = {
  env: Env;
  expires_at: Time;
  role: Role;
  sub: Sub;
  tenant_id: Tenant;
  /** A JWT, good for an hour. */
  token: string;
};

/** A topic, and how much of its log is kept, from one moment. */
export type Snapshot = Topic & {
  /** How many events are kept. */
  count: number;
};

/** What is counted. Totals count from `started_at`: whoever makes rates of two answers begins anew where it has changed. */
export type Stats = {
  /** When it was counted: at most half a second ago. */
  at: Time;
  /** Of the whole hub: for tenants that `stats.operator_tenants` names. */
  hub?: HubStats;
  /** Of the caller's tenant and env. */
  scope: ScopeStats;
  /** When the hub's process began. */
  started_at: Time;
};

/** What a stream token is for: reading, or, on a WebSocket, writing too. */
export type StreamRights = ["read"] | ["read","write"] | ["write","read"];

/** A stream token: 256 random bits in base64url behind `tst_`. */
export type StreamToken = string;

/** What a stream token may be. */
export type StreamTokenLimits = {
  life_max_seconds: number;
  outstanding_max: number;
  outstanding_per_key_max: number;
  topics_max: number;
  ttl_seconds: number;
  ttl_seconds_max: number;
};

/** The `sub` of somebody's token: bytes are counted, and none of it is a control character. */
export type Sub = string;

/** An action, a family of them, or all: what never can be switched off can't be named. */
export type SwitchedAction = "*" | "canvases.*" | "canvases.change" | "canvases.close" | "canvases.create" | "canvases.delete" | "canvases.get" | "canvases.list" | "canvases.members.*" | "canvases.members.put" | "canvases.members.remove" | "canvases.publish" | "canvases.read" | "canvases.redact" | "canvases.snapshot" | "canvases.stream" | "feed.*" | "feed.read" | "keys.*" | "keys.create" | "keys.list" | "keys.revoke" | "keys.rotate" | "limits.*" | "limits.show" | "principals.*" | "principals.get" | "principals.put" | "revocations.*" | "revocations.create" | "session.*" | "session.open" | "sessions.*" | "sessions.end" | "sessions.end_one" | "sessions.list" | "stream.*" | "stream.open" | "stream_tokens.*" | "stream_tokens.create" | "threads.*" | "threads.change" | "threads.close" | "threads.create" | "threads.delete" | "threads.get" | "threads.list" | "threads.members.*" | "threads.members.put" | "threads.members.remove" | "threads.publish" | "threads.read" | "threads.redact" | "threads.snapshot" | "threads.stream";

/** A tenant. */
export type Tenant = string;

/** What a topic may be. */
export type ThreadLimits = {
  members_max: number;
  title_bytes_max: number;
};

/** Threads, ascending by id. */
export type ThreadList = {
  /** Whether there are more behind the last. */
  has_more: boolean;
  /** The threads. */
  threads: Array<Topic>;
};

/** A time in UTC. */
export type Time = string;

/** A title for people: bytes are counted, and none of it is a control character. */
export type Title = string;

/** How long a stream token lives that no stream holds, in seconds; a hub may allow less (`tokens.ttl_seconds_max`). */
export type TokenTtl = number;

/** A topic as clients see it. */
export type Topic = {
  /** Whether nothing can be written to it any more. */
  closed: boolean;
  created_at: Time;
  /** Who made it. */
  creator: Sub;
  /** The head: a reader who starts behind it gets all that is still to come. */
  cursor: Cursor;
  id: TopicId;
  members: Array<Member>;
  /** The newest event; in an empty topic the place before the first. */
  newest: Cursor;
  /** The oldest event that is kept; behind `newest` where there is none. */
  oldest: Cursor;
  title?: Title;
  /** As WebSocket frames and events name it. */
  topic: TopicName;
  visibility: Visibility;
};

/** A topic's id. */
export type TopicId = string;

/** A topic as frames and streams name it. */
export type TopicName = string;

/** Names of topics with commas between them. */
export type TopicNames = string;

/** A topic, or `feed`. */
export type TopicOrFeed = string;

/** Who may see a topic: its members, everybody of the tenant who reads such topics, everybody of the tenant. */
export type Visibility = "private" | "team" | "public";

/** How long a page waits for its first event, in seconds. */
export type Wait = number;

/** What a client speaks. */
export type WireName = "websocket" | "sse";

/** What a request may be refused with. */
export type RefusalCode = "append.forbidden" | "append.not_text" | "append.too_large" | "auth.keys_unavailable" | "auth.signing_key_unknown" | "auth.suspended" | "auth.tenant_mismatch" | "auth.token_expired" | "auth.token_invalid" | "auth.token_missing" | "auth.token_revoked" | "auth.wrong_tier" | "body.invalid" | "body.late" | "body.too_large" | "body.type" | "context.malformed" | "context.mismatch" | "context.missing" | "cursor.gone" | "cursor.malformed" | "data.invalid" | "draining" | "event.too_large" | "event.unknown" | "expect.mismatch" | "idempotency.mismatch" | "internal" | "key.unknown" | "kill_switch.blocked" | "limit.authority" | "limit.bad_tokens" | "limit.body_bytes" | "limit.body_bytes_principal" | "limit.connections" | "limit.connections_ip" | "limit.connections_principal" | "limit.connections_tenant" | "name.invalid" | "origin.forbidden" | "permission.denied" | "publish.unknown" | "query.invalid" | "rate.limited" | "request.headers_too_large" | "request.malformed" | "request.stream_body" | "request.target_too_long" | "route.unknown" | "session.replaced" | "session.unknown" | "session.unsure" | "store.full" | "store.unavailable" | "token.outstanding" | "token.store_unavailable" | "topic.busy" | "topic.closed" | "topic.exists" | "topic.unknown" | "type.invalid" | "type.reserved";
