// Audit.
import { Head } from "../parts";

export function Audit() {
  return <Head title="Audit" />;
}
