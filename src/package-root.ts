/** The folder with package.json and docs/: compiled, this file lies in dist/src; bundled, in dist/bundle. */
export const PACKAGE_ROOT = new URL('../../', import.meta.url);
