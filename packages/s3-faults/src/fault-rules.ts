import { createHash } from 'node:crypto';
import type { S3Call } from './call-log.js';
import type { Exchange } from './exchange.js';
import { FAULTS, type FaultName } from './fault-table.js';
import type { Fault, FaultParameters } from './faults/fault.js';
import { S3_OPERATIONS, type S3Operation } from './s3-operation.js';

export interface FaultRule<Name extends FaultName = FaultName> {
  readonly fault: Name;
  /** Default: every operation that the fault can happen to. */
  readonly operation?: S3Operation | readonly S3Operation[];
  /** What the key starts with. */
  readonly key?: string;
  readonly partNumber?: number;
  /** How often the fault is applied; Infinity for always. Default 1. */
  readonly times?: number;
  /** How many requests that fit are let through first. Default 0. */
  readonly after?: number;
  /** From 0 to 1, default 1: for each request that fits, by the proxy's seed and the request alone, so not by the order of arrival. */
  readonly probability?: number;
  readonly parameters?: Partial<(typeof FAULTS)[Name]['parameters']>;
}

export interface InjectedRule {
  /** How often the fault has been applied by this rule. */
  readonly applied: number;
  remove(): void;
}

class ActiveRule implements InjectedRule {
  applied = 0;
  #fitting = 0;
  readonly fault: Fault;
  readonly parameters: FaultParameters;
  readonly #operations: readonly S3Operation[];

  constructor(
    readonly rule: FaultRule,
    private readonly seed: string,
    private readonly rules: FaultRules,
  ) {
    checkRule(rule);
    this.fault = FAULTS[rule.fault];
    this.parameters = { ...this.fault.parameters, ...rule.parameters };
    const { operation } = rule;
    this.#operations = operation === undefined ? this.fault.operations : [operation].flat();
  }

  /** Counts the call, and says whether it is the rule's turn. */
  claim(call: S3Call): boolean {
    const { key = '', partNumber, times = 1, after = 0, probability = 1 } = this.rule;
    if (this.#operations.length > 0 && !this.#operations.includes(call.operation)) return false;
    if (!call.key.startsWith(key)) return false;
    if (partNumber !== undefined && call.partNumber !== partNumber) return false;
    this.#fitting += 1;
    if (this.#fitting <= after || this.applied >= times) return false;
    if (probability < 1 && chance(this.seed, call) >= probability) return false;
    this.applied += 1;
    return true;
  }

  remove(): void {
    this.rules.remove(this);
  }
}

export interface ChosenFault {
  readonly name: FaultName;
  apply(exchange: Exchange): Promise<void>;
}

/** The rules in force, asked in the order of their injection; those after the one that applies do not count the request. */
export class FaultRules {
  #rules: ActiveRule[] = [];
  #injected = 0;

  constructor(private readonly seed: number) {}

  /** @throws Error when the rule is none that could ever apply */
  inject(rule: FaultRule): InjectedRule {
    const active = new ActiveRule(rule, `${this.seed}/${this.#injected}`, this);
    this.#injected += 1;
    this.#rules.push(active);
    return active;
  }

  choose(call: S3Call): ChosenFault | undefined {
    const active = this.#rules.find((candidate) => candidate.claim(call));
    if (!active) return undefined;
    const { fault, parameters, rule } = active;
    return { name: rule.fault, apply: (exchange) => fault.apply(exchange, parameters) };
  }

  remove(rule: ActiveRule): void {
    this.#rules = this.#rules.filter((candidate) => candidate !== rule);
  }

  clear(): void {
    this.#rules = [];
  }
}

function checkRule(rule: FaultRule): void {
  const refuse = (reason: string): never => {
    throw new Error(`The rule ${JSON.stringify(rule)} cannot apply: ${reason}.`);
  };
  const { operation, times = 1, after = 0, probability = 1, parameters = {} } = rule;
  const fault: Fault | undefined = FAULTS[rule.fault];
  if (!fault) refuse('there is no such fault');
  const operations = operation === undefined ? [] : [operation].flat();
  const misplaced = operations.find(
    (name) => !S3_OPERATIONS.includes(name) || (fault.operations.length > 0 && !fault.operations.includes(name)),
  );
  if (misplaced) refuse(`the fault does not happen to ${misplaced}`);
  const unknown = Object.keys(parameters).find((name) => !(name in fault.parameters));
  if (unknown) refuse(`the fault has no parameter ${unknown}`);
  if (!(times >= 1)) refuse('times is less than 1');
  if (!(after >= 0)) refuse('after is less than 0');
  if (!(probability > 0 && probability <= 1)) refuse('probability is not above 0 and at most 1');
}

/** The same number from 0 to 1 for the same request in every run, whatever else is under way. */
function chance(seed: string, { operation, bucket, key, partNumber, ordinal }: S3Call): number {
  const identity = JSON.stringify([seed, operation, bucket, key, partNumber, ordinal]);
  return createHash('sha256').update(identity).digest().readUInt32BE(0) / 2 ** 32;
}
