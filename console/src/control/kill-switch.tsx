// KillSwitch.
import { Head } from "../parts";

export function KillSwitch() {
  return <Head title="KillSwitch" />;
}
