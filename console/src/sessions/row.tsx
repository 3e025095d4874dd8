// One session of the list: who, how, since when, what it reads and how far it is behind. It asks nobody anything.
import { Time } from "../parts";
import { href } from "../route";
import { folded, lagOf, lasting, type Reading, type Session } from "./rules";

interface RowProps {
  session: Session;
  isMine: boolean;
  now: number;
  end: () => void;
}

export function Row({ session, isMine, now, end }: RowProps) {
  const { sub, role, actor_type, connection_id, wire, since, from, topics } = session;
  const lag = lagOf(session);
  const [shown, rest] = folded(topics);
  return (
    <tr class={isMine ? "mine" : undefined}>
      <th scope="row">
        <bdi>{sub}</bdi> {isMine && <span class="chip good">you</span>}
        <small>
          {role}
          {actor_type !== "human" && ` · ${actor_type}`}
        </small>
      </th>
      <td data-label="Wire">{wire === "websocket" ? "WebSocket" : "SSE"}</td>
      <td data-label="Since">
        <Time at={since} />
        <small>{lasting(since, now)}</small>
      </td>
      <td class="mono" data-label="From">{from}</td>
      <td class="topics" data-label="Topics">
        {topics.length === 0 && <small>nothing</small>}
        <Topics of={shown} />
        {rest.length > 0 && (
          <details>
            <summary>and {rest.length} more</summary>
            <Topics of={rest} />
          </details>
        )}
      </td>
      <td class="number" data-label="Behind">{lag > 0 ? <span class="chip bad">{lag.toLocaleString()}</span> : "0"}</td>
      <td class="end">
        <button type="button" class="danger" aria-label={`End this session of ${sub}, ${connection_id}`} onClick={end}>
          End
        </button>
      </td>
    </tr>
  );
}

function Topics({ of }: { of: readonly Reading[] }) {
  return (
    <ul>
      {of.map(({ topic, lag }) => (
        <li key={topic}>
          <Topic name={topic} />
          {lag > 0 && <span class="behind">{lag.toLocaleString()} behind</span>}
        </li>
      ))}
    </ul>
  );
}

function Topic({ name }: { name: string }) {
  if (name === "feed") return <a href={href("feed")}>feed</a>;
  if (name.startsWith("thread/")) return <a href={href("threads", name.slice("thread/".length))}>{name}</a>;
  return <>{name}</>;
}
