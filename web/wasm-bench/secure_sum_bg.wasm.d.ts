/* tslint:disable */
/* eslint-disable */
export const memory: WebAssembly.Memory;
export const __wbg_cohort_free: (a: number, b: number) => void;
export const cohort_new: (a: number) => number;
export const cohort_takePart: (a: number, b: number) => number;
export const __wbindgen_externrefs: WebAssembly.Table;
export const __wbindgen_start: () => void;
