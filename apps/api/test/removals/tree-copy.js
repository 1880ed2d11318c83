import { execFile } from 'node:child_process';
import { cp, mkdir, readFile, symlink, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { promisify } from 'node:util';

const run = promisify(execFile);
const COPIED = ['jest.preset.js', 'tsconfig.base.json', 'package.json', 'prisma'];
const COPIED_OF_API = ['package.json', 'jest.config.js', 'src', 'test'];
/** What the other packages are built to is used where it is. */
const LINKED = ['node_modules', 'packages', 'apps/api/node_modules'];

/** What jest needs of the repository at `root`, as it is on the disk now, with changes that nobody committed. */
export class TreeCopy {
  constructor(folder) {
    this.folder = folder;
    this.apiFolder = join(folder, 'apps/api');
  }

  static async make(root, folder) {
    await mkdir(join(folder, 'apps/api'), { recursive: true });
    for (const path of [...COPIED, ...COPIED_OF_API.map((name) => `apps/api/${name}`)]) {
      await cp(join(root, path), join(folder, path), { recursive: true });
    }
    for (const path of LINKED) await symlink(join(root, path), join(folder, path));
    return new TreeCopy(folder);
  }

  /**
   * Runs `task` with the patch applied, and takes it back.
   *
   * @throws Error when the patch does not fit the code any more
   */
  async withPatch({ path, changes }, task) {
    const before = await Promise.all(changes.map((file) => readFile(join(this.folder, file))));
    await this.apply(path);
    try {
      return await task();
    } finally {
      await Promise.all(changes.map((file, index) => writeFile(join(this.folder, file), before[index])));
    }
  }

  /** One line of context has to fit, wherever in the file it stands now. */
  async apply(patch) {
    // A repository around the folder for temporary files would have git look there instead.
    const env = { ...process.env, GIT_CEILING_DIRECTORIES: dirname(this.folder) };
    await run('git', ['apply', '-C1', '--whitespace=nowarn', patch], { cwd: this.folder, env });
  }
}
