import { cpSync } from 'node:fs';
import { defineConfig } from 'vite';

const FONTS = {
  'inter/Inter-Regular.woff2': 'inter/files/inter-latin-400-normal.woff2',
  'inter/Inter-Italic.woff2': 'inter/files/inter-latin-400-italic.woff2',
  'inter/Inter-Medium.woff2': 'inter/files/inter-latin-500-normal.woff2',
  'inter/Inter-MediumItalic.woff2': 'inter/files/inter-latin-500-italic.woff2',
  'roboto/L0xTDF4xlVMF-BfR8bXMIhJHg45mwgGEFl0_3vrtSM1J-gEPT5Ese6hmHSh0mQ.woff2':
    'roboto-mono/files/roboto-mono-latin-400-normal.woff2',
};

/** The components fetch icons and fonts one by one, from where Grafana's own server has them. */
const served = {
  name: 'served',
  closeBundle() {
    cpSync('node_modules/@grafana/ui/dist/public', 'dist/public/build', { recursive: true });
    for (const [path, source] of Object.entries(FONTS)) {
      cpSync(`node_modules/@fontsource/${source}`, `dist/public/fonts/${path}`);
    }
  },
};

export default defineConfig({
  plugins: [served],
  esbuild: { jsx: 'automatic' },
  define: { 'process.env.NODE_ENV': '"production"', 'process.env': '{}', global: 'globalThis' },
  // Nobody downloads the result: reading stack traces matters more than size, and so does a quick build.
  build: { target: 'es2022', minify: false, reportCompressedSize: false, chunkSizeWarningLimit: Infinity },
});
