import { defineConfig, type Plugin, type UserConfig } from 'vite';
import { rehearsal } from './src/dev/rehearsal.js';

/**
 * Stands in for the on-device module where `cargo xtask demo` did not build it, for its own federation asks a server: who
 * opens a federation that needs the module is told what to do.
 */
const withoutOnDevice = (): Plugin => ({
  name: 'without-on-device',
  enforce: 'pre',
  resolveId: (id) => (id.endsWith('/wasm-on-device/on_device') ? '\0without-on-device' : null),
  load: (id) =>
    id === '\0without-on-device'
      ? `export default () => Promise.reject(new Error('These pages were built without models on the device. Build them with: cargo xtask build'));
         export class Files {} export class EmbeddingFiles {}`
      : null,
});

/**
 * Has the join page fetch its Worker's script and module beside its own script; otherwise each would be found only when the one
 * before has come. The browser's cache hands them to the Worker.
 */
const preloads = (): Plugin => ({
  name: 'preloads',
  transformIndexHtml: {
    order: 'post',
    handler: (_, { bundle, filename }) => {
      if (bundle === undefined || !filename.endsWith('/join.html')) return [];
      const href = (pattern: RegExp): string => {
        const found = Object.keys(bundle).filter((name) => pattern.test(name));
        if (found.length !== 1) throw new Error(`one file of the build is ${pattern.source}, not ${found.length}`);
        return `./${found[0]}`;
      };
      return [
        { tag: 'link', attrs: { rel: 'modulepreload', href: href(/^assets\/worker-.{8}\.js$/) }, injectTo: 'head' },
        { tag: 'link', attrs: { rel: 'preload', as: 'fetch', type: 'application/wasm', crossorigin: true, href: href(/^assets\/client_wasm_bg-.{8}\.wasm$/) }, injectTo: 'head' },
      ];
    },
  },
});

/** What a Worker's script is called: by its folder, for the files are all called main. */
const workerName = ({ facadeModuleId }: { facadeModuleId?: string | null }): string => `assets/${facadeModuleId?.match(/(\w+)\/\w+\.ts$/)?.[1] ?? 'worker'}-[hash].js`;

/**
 * Three pages. All addresses are relative (`base: './'`), because the aggregator serves join.html below
 * `/f/{id}/`, where each federation has a Content-Security-Policy of its own.
 *
 * `vite --mode rehearsal` shows the pages with an invented aggregator and Worker; nothing of it is built.
 */
export default defineConfig(({ mode, command }): UserConfig => ({
  base: './',
  appType: 'mpa',
  plugins: [command === 'serve' && mode === 'rehearsal' && rehearsal(), preloads(), process.env['WITHOUT_ON_DEVICE'] && withoutOnDevice()],
  worker: {
    format: 'es',
    plugins: () => [process.env['WITHOUT_ON_DEVICE'] && withoutOnDevice()],
    rolldownOptions: { output: { entryFileNames: workerName } },
  },
  build: {
    outDir: 'dist',
    // The CSP's script-src is 'self': a file stays a file.
    assetsInlineLimit: 0,
    // All browsers of `target` have `modulepreload` themselves.
    modulePreload: { polyfill: false },
    // Browsers with light-dark() and module Workers; WebGPU is younger than these.
    target: ['chrome123', 'edge123', 'firefox120', 'safari17.5'],
    rolldownOptions: {
      input: ['./index.html', './join.html', './organiser.html'],
    },
  },
  // The example task lies beside the page's folder.
  assetsInclude: ['**/*.toml'],
  server: { fs: { allow: ['..'] }, proxy: mode === 'rehearsal' ? {} : { '/v1': 'http://127.0.0.1:8700' } },
}));
