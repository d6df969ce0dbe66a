import { Problem, explain, say, step } from "./steps.mjs";

/** Adds up what ran, kind by kind; a step that fails is counted and explained, and the others still run. */
export class Tally {
  #kinds = new Map();

  /**
   * Runs one step. `work` returns `{ passed, failed, skipped, output }`, or nothing for a step that is one check.
   * Returns whether all of it passed; a step in which nothing ran did not.
   */
  async count(kind, title, work) {
    let result;
    try {
      result = await step(title, async () => {
        const { passed = 1, failed = 0, skipped = 0, output } = (await work()) ?? {};
        const result = { passed, failed, skipped };
        if (failed > 0) throw Object.assign(new Error(`${failed} failed`), { result, output });
        if (passed === 0) throw Object.assign(new Problem(`${title}: no test ran`), { result: { ...result, failed: 1 } });
        return result;
      });
    } catch (error) {
      explain(error);
      result = error.result ?? { passed: 0, failed: 1, skipped: 0 };
    }
    this.#add(kind, result);
    return result.failed === 0;
  }

  /** Notes a step that another one's failure kept from running. */
  notRun(kind, title, reason) {
    say(`✗ ${title}: not run, ${reason}`);
    this.#add(kind, { passed: 0, failed: 1, skipped: 0 });
  }

  #add(kind, { passed, failed, skipped }) {
    const sum = this.#kinds.get(kind) ?? { passed: 0, failed: 0, skipped: 0 };
    this.#kinds.set(kind, {
      passed: sum.passed + passed,
      failed: sum.failed + failed,
      skipped: sum.skipped + skipped,
    });
  }

  /** Prints the counts by kind and, last and alone on its line, their sum; returns the exit status. */
  report() {
    say("");
    let [passed, failed] = [0, 0];
    for (const [kind, sum] of this.#kinds) {
      say(`  ${kind}: ${sum.passed} passed, ${sum.failed} failed${sum.skipped ? `, ${sum.skipped} skipped` : ""}`);
      passed += sum.passed;
      failed += sum.failed;
    }
    say(`\n${passed} passed, ${failed} failed`);
    return failed === 0 ? 0 : 1;
  }
}
