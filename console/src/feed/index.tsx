// Feed.
import { Head } from "../parts";

export function Feed() {
  return <Head title="Feed" />;
}
