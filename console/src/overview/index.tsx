// Overview.
import { Head } from "../parts";

export function Overview() {
  return <Head title="Overview" />;
}
