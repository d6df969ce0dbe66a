import { setUpCargoTools } from "./cargo-tools.mjs";
import { setUpPackages } from "./packages.mjs";
import { checkPrerequisites } from "./prerequisites.mjs";
import { panicStrategy, setUpStable } from "./rust.mjs";

/** Installs whatever is missing, at the pinned versions; silent and quick when nothing is. */
export async function setUp() {
  checkPrerequisites();
  await setUpPackages();
  await setUpStable();
  await panicStrategy();
  await setUpCargoTools();
}
