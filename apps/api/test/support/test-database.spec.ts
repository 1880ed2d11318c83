import { describe, expect, it } from '@jest/globals';
import { createTestDatabase } from './test-database.js';

describe('createTestDatabase', () => {
  it('gives a migrated database that no other test writes to', async () => {
    const [first, second] = await Promise.all([createTestDatabase(), createTestDatabase()]);
    const id = await first.createWorkspace();
    expect(await first.query('SELECT id FROM core_workspace')).toEqual([{ id }]);
    expect(await second.query('SELECT id FROM core_workspace')).toEqual([]);
    await Promise.all([first.drop(), second.drop()]);
  });
});
