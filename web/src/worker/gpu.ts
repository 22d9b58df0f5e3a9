/**
 * What must be known of the GPU before the wasm may touch it: some browsers have `navigator.gpu` and throw when
 * it is used, which the wasm could not survive. The order: secure context, `navigator.gpu`, adapter.
 */
import type { BackendChoice } from './protocol';

/** What the page tells the renderer about the GPU; the other side is `Hint` in `client-wasm/src/renderer.rs`. */
export interface GpuHint {
  /** Why the GPU must not be tried, as the rest of a sentence. */
  refusal: string | null;
  name: string;
  /** The adapter computes on the CPU. */
  software: boolean;
}

interface AdapterInfo {
  vendor?: string;
  architecture?: string;
  description?: string;
  isFallbackAdapter?: boolean;
}

/** The few members of WebGPU that are used, because TypeScript's libraries lack it. */
interface Gpu {
  requestAdapter(options: { powerPreference: 'high-performance' }): Promise<{ info?: AdapterInfo } | null>;
}

export async function lookAtGpu(backend: BackendChoice): Promise<GpuHint> {
  const hint: GpuHint = { refusal: null, name: '', software: false };
  if (backend === 'cpu') {
    return hint;
  }
  if (!self.isSecureContext) {
    return { ...hint, refusal: 'browsers offer WebGPU only to https and localhost pages' };
  }
  const gpu = (navigator as { gpu?: Gpu }).gpu;
  if (gpu === undefined) {
    return { ...hint, refusal: 'this browser has no WebGPU' };
  }
  try {
    const adapter = await gpu.requestAdapter({ powerPreference: 'high-performance' });
    if (adapter === null) {
      return { ...hint, refusal: 'this browser or machine offers no WebGPU adapter' };
    }
    const { vendor = '', architecture = '', description = '', isFallbackAdapter = false } = adapter.info ?? {};
    const name = description || `${vendor} ${architecture}`.trim();
    return { refusal: null, name, software: isFallbackAdapter || /swiftshader|llvmpipe/i.test(name) };
  } catch (error) {
    return { ...hint, refusal: `this browser's WebGPU does not work (${error instanceof Error ? error.message : String(error)})` };
  }
}
