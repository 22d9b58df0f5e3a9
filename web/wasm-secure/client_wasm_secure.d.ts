/* tslint:disable */
/* eslint-disable */

/**
 * Collects examples for one session. Errors are thrown as texts for the person; the code is in
 * [`finish`](Self::finish)'s trouble.
 */
export class Loader {
    free(): void;
    [Symbol.dispose](): void;
    /**
     * The built-in owner with that number.
     */
    addBuiltin(owner: number, count: number): void;
    /**
     * A table of numbers.
     */
    addCsv(path: string, bytes: Uint8Array | number[]): void;
    /**
     * A drawing from the page.
     */
    addDrawing(label: string, width: number, height: number, rgba: Uint8Array | number[]): void;
    /**
     * Images and labels in IDX.
     */
    addIdx(images_path: string, images: Uint8Array | number[], labels_path: string, labels: Uint8Array | number[]): void;
    /**
     * A decoded picture of the plan.
     */
    addPicture(number: number, width: number, height: number, rgba: Uint8Array | number[]): void;
    /**
     * Whether the file's first bytes are what its name promised.
     */
    check(number: number, head: Uint8Array | number[]): void;
    /**
     * Makes the collection the session's data, saves it, and reports it; or says why it cannot be used, and
     * the data from before stay. True if it was taken.
     */
    finish(): Promise<boolean>;
    /**
     * The file that gives pictures their labels, if there is one: read it and hand it to `plan`.
     */
    labelTable(paths: string[]): string | undefined;
    /**
     * An empty collection.
     */
    constructor(session: Session);
    /**
     * What to do with each file: JSON list of `{path, gzip, kind, partner}` with kind `image`, `csv`,
     * `idx-images` (partner: its labels). Files to be left alone are not in it.
     */
    plan(paths: string[], table_path?: string | null, table?: Uint8Array | number[] | null): string;
    /**
     * Leaves a file out, with the reason.
     */
    skip(name: string, reason: string): void;
    /**
     * A picture that the browser could not decode.
     */
    undecodable(path: string, cause: string): string;
}

/**
 * One owner's client of one federation.
 */
export class Session {
    private constructor();
    free(): void;
    [Symbol.dispose](): void;
    /**
     * Asks the model API for its description and one harmless answer; posts `model-checked`.
     */
    checkModel(key?: string | null): void;
    /**
     * Leaves the federation and forgets everything stored here.
     */
    leave(): Promise<void>;
    /**
     * Opens a federation and posts `opened`, or shows what is in the way and gives nothing.
     *
     * `opening` is the Worker's `open` message as JSON, `announced` the aggregator's answer about the federation
     * where the Worker has it; the four records are what was saved before.
     */
    static open(opening: string, announced: string | null | undefined, identity: Uint8Array | number[] | null | undefined, membership: Uint8Array | number[] | null | undefined, state: Uint8Array | number[] | null | undefined, data: Uint8Array | number[] | null | undefined, host: any): Promise<Session | undefined>;
    /**
     * Pauses; requests under way are given up.
     */
    pause(): void;
    /**
     * Posts pictures of held-out examples before and now.
     */
    pictures(count: number): void;
    /**
     * Goes on.
     */
    resume(): void;
    /**
     * The owner agrees: joins unless done before, and trains.
     */
    start(): void;
    /**
     * The tab is visible again: timers slept, so look at once.
     */
    visible(): void;
}

/**
 * Measures one step (K directions, both signs, generator `statistic`) on CPU and GPU and says which would be
 * used: `Backend` of `protocol.ts` as JSON. `wish` is `auto`, `cpu` or `webgpu`.
 */
export function measureStep(wish: string, side: number, images: number, directions: number): Promise<string>;

/**
 * A panic ends the instance; its words shall reach the page, not only "unreachable".
 */
export function start(): void;

export type InitInput = RequestInfo | URL | Response | BufferSource | WebAssembly.Module;

export interface InitOutput {
    readonly memory: WebAssembly.Memory;
    readonly __wbg_loader_free: (a: number, b: number) => void;
    readonly __wbg_session_free: (a: number, b: number) => void;
    readonly loader_addBuiltin: (a: number, b: number, c: number) => [number, number];
    readonly loader_addCsv: (a: number, b: number, c: number, d: number, e: number) => [number, number];
    readonly loader_addDrawing: (a: number, b: number, c: number, d: number, e: number, f: number, g: number) => [number, number];
    readonly loader_addIdx: (a: number, b: number, c: number, d: number, e: number, f: number, g: number, h: number, i: number) => [number, number];
    readonly loader_addPicture: (a: number, b: number, c: number, d: number, e: number, f: number) => [number, number];
    readonly loader_check: (a: number, b: number, c: number, d: number) => [number, number];
    readonly loader_finish: (a: number) => any;
    readonly loader_labelTable: (a: number, b: number, c: number) => [number, number];
    readonly loader_new: (a: number) => number;
    readonly loader_plan: (a: number, b: number, c: number, d: number, e: number, f: number, g: number) => [number, number, number, number];
    readonly loader_skip: (a: number, b: number, c: number, d: number, e: number) => void;
    readonly loader_undecodable: (a: number, b: number, c: number, d: number, e: number) => [number, number];
    readonly measureStep: (a: number, b: number, c: number, d: number, e: number) => any;
    readonly session_checkModel: (a: number, b: number, c: number) => void;
    readonly session_leave: (a: number) => any;
    readonly session_open: (a: number, b: number, c: number, d: number, e: number, f: number, g: number, h: number, i: number, j: number, k: number, l: number, m: any) => any;
    readonly session_pause: (a: number) => void;
    readonly session_pictures: (a: number, b: number) => void;
    readonly session_resume: (a: number) => void;
    readonly session_start: (a: number) => void;
    readonly session_visible: (a: number) => void;
    readonly start: () => void;
    readonly wasm_bindgen__convert__closures_____invoke__h004ec620d7a6bd85: (a: number, b: number, c: any) => [number, number];
    readonly wasm_bindgen__convert__closures_____invoke__h004ec620d7a6bd85_27: (a: number, b: number, c: any) => [number, number];
    readonly wasm_bindgen__convert__closures_____invoke__h004ec620d7a6bd85_28: (a: number, b: number, c: any) => [number, number];
    readonly wasm_bindgen__convert__closures_____invoke__h5f499c6219fc1cf1: (a: number, b: number, c: any, d: any) => void;
    readonly wasm_bindgen__convert__closures_____invoke__h884b72ce1ce03f11: (a: number, b: number, c: any) => [number, number];
    readonly wasm_bindgen__convert__closures_____invoke__h84d61385c40e1965: (a: number, b: number, c: any) => void;
    readonly wasm_bindgen__convert__closures_____invoke__h84d61385c40e1965_26: (a: number, b: number, c: any) => void;
    readonly __wbindgen_malloc: (a: number, b: number) => number;
    readonly __wbindgen_realloc: (a: number, b: number, c: number, d: number) => number;
    readonly __wbindgen_free: (a: number, b: number, c: number) => void;
    readonly __wbindgen_exn_store: (a: number) => void;
    readonly __externref_table_alloc: () => number;
    readonly __wbindgen_externrefs: WebAssembly.Table;
    readonly __externref_drop_slice: (a: number, b: number) => void;
    readonly __wbindgen_destroy_closure: (a: number, b: number) => void;
    readonly __externref_table_dealloc: (a: number) => void;
    readonly __wbindgen_start: () => void;
}

export type SyncInitInput = BufferSource | WebAssembly.Module;

/**
 * Instantiates the given `module`, which can either be bytes or
 * a precompiled `WebAssembly.Module`.
 *
 * @param {{ module: SyncInitInput }} module - Passing `SyncInitInput` directly is deprecated.
 *
 * @returns {InitOutput}
 */
export function initSync(module: { module: SyncInitInput } | SyncInitInput): InitOutput;

/**
 * If `module_or_path` is {RequestInfo} or {URL}, makes a request and
 * for everything else, calls `WebAssembly.instantiate` directly.
 *
 * @param {{ module_or_path: InitInput | Promise<InitInput> }} module_or_path - Passing `InitInput` directly is deprecated.
 *
 * @returns {Promise<InitOutput>}
 */
export default function __wbg_init (module_or_path?: { module_or_path: InitInput | Promise<InitInput> } | InitInput | Promise<InitInput>): Promise<InitOutput>;
