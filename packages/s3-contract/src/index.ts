export { ALL_CASES } from './cases/all-cases.js';
export type { Area, CaseResult, ContractCase, ContractStore, Need, Outcome } from './contract.js';
export { ContractShortfall } from './contract.js';
export { type ExpectedShortfalls, judgeResults, parseExpectedShortfalls, type Verdict } from './expected-shortfalls.js';
export { type OwnStore, startOwnStore } from './own-store.js';
export { type RunOptions, runContract } from './run-contract.js';
