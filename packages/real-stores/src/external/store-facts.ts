/** One thing that the product believes of a store, and why. */
export interface StoreFact {
  readonly value: string | number | boolean;
  /** `measured`, `unknown` or the address of a page. */
  readonly source: string;
}

export interface StoreFacts {
  readonly title: string;
  readonly facts: Readonly<Record<string, StoreFact>>;
}

const PROFILES = new URL('../../../../apps/api/dist/storage/s3/store-profile.js', import.meta.url);

/** Reads the profiles that the product itself works with, from its build: a second list would drift from it. */
export async function readStoreFacts(): Promise<StoreFacts[]> {
  const { STORE_PROFILES } = (await import(PROFILES.href)) as {
    STORE_PROFILES: Record<string, { name: string; title: string } & Record<string, StoreFact | string>>;
  };
  return Object.values(STORE_PROFILES).map(({ name: _name, title, ...facts }) => ({
    title,
    facts: facts as Record<string, StoreFact>,
  }));
}
