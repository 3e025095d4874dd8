// One plot in its card: its name, the number now (or under the cursor), and the line of the last five minutes.
// It asks nothing; a screen reader is told a summary when it comes by, and not each second.
import type { Signal } from "@preact/signals";
import { useEffect, useLayoutEffect, useRef, useState } from "preact/hooks";
import type uPlot from "uplot";
import { type Columns, draw, HEIGHT } from "./canvas";
import { described, figure } from "./figures";
import type { Plot as Shown } from "./plots";
import { column, type History, type Part, summary, times } from "./samples";

interface PlotProps {
  plot: Shown;
  history: History;
  part: Part;
  /** The sample under the cursor of any plot. */
  pointed: Signal<number | undefined>;
  /** Said below, where something about it has to be known. */
  note?: string;
}

export function Plot({ plot, history, part, pointed, note }: PlotProps) {
  const lines = plot.lines.map(({ of }) => column(history, part, of));
  const at = pointed.value;
  const label = plot.lines.map(({ name }, nth) => described(lines.length > 1 ? `${plot.title}, ${name}` : plot.title, summary(lines[nth]!), plot.format));
  return (
    <section class="card plot">
      <div class="head">
        <h2>{plot.title}</h2>
        {plot.lines.map(({ of, name, short }, nth) => {
          const { text, unit } = figure(at === undefined ? lines[nth]!.at(-1) : lines[nth]![at], plot.format);
          return (
            <p key={of} class="figure" data-of={of}>
              <b>{text}</b> {unit}
              {lines.length > 1 && <span class={`of line-${nth}`} title={name}>{short ?? name}</span>}
            </p>
          );
        })}
      </div>
      <Canvas plot={plot} columns={[times(history), ...lines]} label={`${label.join(". ")}.`} pointed={pointed} />
      {note && <p class="late">{note}</p>}
    </section>
  );
}

interface CanvasProps {
  plot: Shown;
  columns: Columns;
  label: string;
  pointed: Signal<number | undefined>;
}

function Canvas({ plot, columns, label, pointed }: CanvasProps) {
  const box = useRef<HTMLDivElement>(null);
  const drawn = useRef<uPlot | undefined>(undefined);
  const scheme = useScheme();
  useLayoutEffect(() => {
    const own = (drawn.current = draw(plot, box.current!, columns, (at) => (pointed.value = at)));
    const sized = new ResizeObserver(([entry]) => own.setSize({ width: Math.floor(entry!.contentRect.width), height: HEIGHT }));
    sized.observe(box.current!);
    return () => {
      sized.disconnect();
      own.destroy();
      pointed.value = undefined;
    };
  }, [plot, scheme]);
  useLayoutEffect(() => drawn.current?.setData(columns as uPlot.AlignedData), [columns[0].at(-1), columns[0].length, ...columns.slice(1).map((line) => line.at(-1))]);
  return <div class="canvas" role="img" aria-label={label} ref={box} />;
}

/** Light or dark, as the page is now: what is drawn does not change by itself. */
function useScheme(): boolean {
  const [asked] = useState(() => matchMedia("(prefers-color-scheme: dark)"));
  const [dark, set] = useState(asked.matches);
  useEffect(() => {
    const changed = () => set(asked.matches);
    asked.addEventListener("change", changed);
    return () => asked.removeEventListener("change", changed);
  }, [asked]);
  return dark;
}
