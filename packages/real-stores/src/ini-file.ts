export type Settings = Record<string, string | number | boolean | undefined>;

/** The text of an ini file; settings that are undefined are left out. */
export function formatIni(sections: Record<string, Settings>): string {
  return Object.entries(sections)
    .map(([name, settings]) => {
      const lines = Object.entries(settings).filter(([, value]) => value !== undefined);
      return [`[${name}]`, ...lines.map(([key, value]) => `${key} = ${value}`)].join('\n');
    })
    .join('\n\n')
    .concat('\n');
}
