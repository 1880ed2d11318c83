import { describe, expect, it } from '@jest/globals';
import { ALL_CASES, type CaseResult } from '@s3-transfer/s3-contract';
import { formatCompatibilityPage, readOutcomes } from './compatibility-page.js';

const [first, second, third] = ALL_CASES.map(({ id, area, title }) => ({ id, area, title, ms: 1 }));
if (first === undefined || second === undefined || third === undefined) throw new Error('there are no cases');

function pageOf(did: string, date = '2026-01-02', outcome: CaseResult['outcome'] = 'short') {
  return formatCompatibilityPage({
    date,
    measured: [
      {
        title: 'Store A',
        results: [{ ...first, outcome: 'ok' } as CaseResult, { ...second, outcome, did } as CaseResult],
      },
      { title: 'Store B', results: [{ ...third, outcome: 'short', did: 'accepted' } as CaseResult] },
    ],
    facts: [
      {
        title: 'Store C',
        facts: {
          a: { value: true, source: 'measured' },
          b: { value: 5, source: 'https://a.example/b' },
          c: { value: 'x', source: 'unknown' },
        },
      },
      { title: 'Store D', facts: { b: { value: 6, source: 'unknown' } } },
    ],
    advice: [{ product: 'does without.', cases: [second?.id ?? ''] }],
  });
}

describe('formatCompatibilityPage', () => {
  const page = pageOf('501 <b>|`x`: s3-contract-0a1b/case.id/object, aaaaaaaaaaaaaaaaaaaaaaaaaaaa');

  it('says what a server did and what the product does about it', () => {
    expect(page).toContain('| Store A | 1 | 1 | 0 |');
    expect(page).toMatch(
      /\*\*The product\*\* does without\.\n\n- `[\w.-]+`: .*\n {2}- Store A: 501 \\<b\\>\\\|\\`x\\`: object, a\.\.\.\n/,
    );
    expect(page).toMatch(/\*\*The product\*\* makes no such request.*\n\n- `[\w.-]+`: .*\n {2}- Store B: accepted\n/);
  });

  it('says where each fact comes from', () => {
    expect(page).toContain('| Store C | Store D (not run) |');
    expect(page).toContain('| `a` | yes, measured |  |\n| `b` | [5](https://a.example/b) | 6 ? |\n| `c` | x ? |  |');
  });

  it('has a row for every case', () => {
    const outcomes = readOutcomes(page);
    expect(outcomes).toHaveLength(ALL_CASES.length);
    expect(outcomes[0]).toMatch(/\| ok \| not run \| (\[page\]\(https:.*\)|measured) \|$/);
    expect(outcomes[1]).toMatch(/\| \*\*short\*\* \| not run \|/);
  });

  it('has other outcomes only when a case went otherwise', () => {
    expect(readOutcomes(pageOf('in other words', '2027-01-01'))).toEqual(readOutcomes(page));
    expect(readOutcomes(pageOf('', '2026-01-02', 'ok'))).not.toEqual(readOutcomes(page));
  });
});
