#!/usr/bin/env node
import 'reflect-metadata';
import { describeFailure } from './cli-error.js';
import { InterruptedError, listenForInterruption } from './interruption.js';
import { createProgram } from './program.js';

const interruption = listenForInterruption();
/** What a command opened, closed in reverse order when it ends in whatever way. */
const opened = new AsyncDisposableStack();
const program = createProgram({ interruption, opened });

let exitCode = 0;
function fail(error: unknown): void {
  exitCode = error instanceof InterruptedError ? error.exitCode : 1;
  if (!(error instanceof InterruptedError)) console.error(describeFailure(error, program.opts()));
}

// What a command was doing when Ctrl-C came fails in many ways; that it was stopped is the one thing to say.
await program.parseAsync().catch((error: unknown) => fail(interruption.aborted ? interruption.reason : error));
await opened.disposeAsync().catch(fail);
process.exit(exitCode);
