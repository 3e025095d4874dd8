// Threads.
import { Head } from "../parts";

export function Threads() {
  return <Head title="Threads" />;
}
