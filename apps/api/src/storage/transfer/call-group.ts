import { setImmediate as nextTurn } from 'node:timers/promises';
import { DatabaseUnavailableError } from '../../prisma/database-error.js';

/** Calls that one statement carries out at most. */
const MAX_CALLS = 64;

interface GroupedCall<Call, Answer> {
  readonly call: Call;
  resolve(answer: Answer): void;
  reject(error: unknown): void;
}

interface CallGroupOptions<Call, Answer> {
  /** One statement for all of them, which waits for no lock: undefined for each call that it leaves out. */
  readonly together: (calls: readonly Call[]) => Promise<(Answer | undefined)[]>;
  readonly alone: (call: Call) => Promise<Answer>;
}

/**
 * Carries calls out together: those that come while a statement is under way share the next one, so that many small
 * files cost few statements and a single one waits for nobody.
 *
 * What the shared statement leaves out is carried out alone, so that a row which somebody else has locked holds up
 * itself only, and one that cannot be written fails itself only.
 */
export class CallGroup<Call, Answer> {
  private waiting: GroupedCall<Call, Answer>[] = [];
  private isRunning = false;

  constructor(private readonly options: CallGroupOptions<Call, Answer>) {}

  run(call: Call): Promise<Answer> {
    return new Promise((resolve, reject) => {
      this.waiting.push({ call, resolve, reject });
      if (!this.isRunning) void this.runAll();
    });
  }

  private async runAll(): Promise<void> {
    this.isRunning = true;
    await nextTurn(); // What other transfers ask for in this turn comes along.
    while (this.waiting.length > 0) await this.runTogether(this.waiting.splice(0, MAX_CALLS));
    this.isRunning = false;
  }

  private async runTogether(calls: readonly GroupedCall<Call, Answer>[]): Promise<void> {
    const { together, alone } = this.options;
    let answers: (Answer | undefined)[] = [];
    try {
      answers = await together(calls.map(({ call }) => call));
    } catch (error) {
      // It may be committed: nobody knows, and each of them is told so. Any other error has undone all of it.
      if (error instanceof DatabaseUnavailableError) {
        for (const { reject } of calls) reject(error);
        return;
      }
    }
    for (const [index, { call, resolve, reject }] of calls.entries()) {
      const answer = answers[index];
      if (answer === undefined) alone(call).then(resolve, reject);
      else resolve(answer);
    }
  }
}
