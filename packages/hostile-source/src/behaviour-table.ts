import { BEHAVIOUR_NAMES, BEHAVIOURS } from './all-behaviours.js';
import type { ParameterValues } from './parameters.js';

/** The README's table of behaviours. The file's size and seed, which every behaviour takes, are left out where they are the usual ones. */
export function behaviourTable(): string {
  const usual: ParameterValues = BEHAVIOURS['honest-etag'].example;
  const rows = BEHAVIOUR_NAMES.map((name) => {
    const { title, example } = BEHAVIOURS[name];
    const parameters = Object.entries(example).filter(([parameter, value]) => !isSame(usual, parameter, value));
    return `| ${name} | ${title} | ${parameters.map(([parameter, value]) => `${parameter} ${value}`).join(', ')} |`;
  });
  return ['| behaviour | the server | parameters and their example |', '| --- | --- | --- |', ...rows, ''].join('\n');
}

function isSame(usual: ParameterValues, parameter: string, value: number): boolean {
  return Object.entries(usual).some(([name, usualValue]) => name === parameter && usualValue === value);
}
