// Keys.
import { Head } from "../parts";

export function Keys() {
  return <Head title="Keys" />;
}
