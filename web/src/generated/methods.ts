// Written by `cargo xtask generate` from `shared/tuning/src/generator/` and `optimizer/`. Do not edit.
// What the organiser's form shows of them is in a file of its own, which no other page loads.

/** What θ means. */
export type Domain = 'numbers' | 'categories' | 'arms';

/** A prompt generator: see `ImageEntry` and `TextEntry` there. */
export interface Generator {
  name: string;
  /** A name for descriptions of a task: `About` in `shared/ground/src/form.rs`. */
  words: string;
  domain: Domain;
  embeddings: boolean;
}

/** An optimiser: see `Entry` and `Tries` there. */
export interface Optimizer {
  name: string;
  /** A name for descriptions of a task: `About` in `shared/ground/src/form.rs`. */
  words: string;
  domain: Domain;
  tries: { setting: string; usual: number | null; what: string } | null;
}

/** The built-in generators for images, the default first. */
export const IMAGE_GENERATORS: readonly [Generator, ...Generator[]] = [
  {"domain":"numbers","embeddings":false,"name":"statistic","words":"a smooth pattern that depends on a few statistics of each picture"},
  {"domain":"numbers","embeddings":false,"name":"frame","words":"a frame around the picture"},
  {"domain":"numbers","embeddings":false,"name":"coordinator","words":"a pattern drawn by a small network"},
];

/** The built-in generators for texts, the default first. */
export const TEXT_GENERATORS: readonly [Generator, ...Generator[]] = [
  {"domain":"categories","embeddings":false,"name":"discrete","words":"words from a list"},
  {"domain":"arms","embeddings":false,"name":"instruction","words":"an instruction from a list"},
  {"domain":"numbers","embeddings":true,"name":"soft","words":"embeddings, which need not be those of words"},
];

/** The built-in optimisers; the first of a domain is its default. */
export const OPTIMIZERS: readonly [Optimizer, ...Optimizer[]] = [
  {"domain":"numbers","name":"zo-adam","tries":{"setting":"directions","usual":5,"what":"directions"},"words":"random differences, then Adam"},
  {"domain":"numbers","name":"zo-sgd","tries":{"setting":"directions","usual":5,"what":"directions"},"words":"random differences, plain steps"},
  {"domain":"numbers","name":"spsa-gc","tries":{"setting":"directions","usual":5,"what":"directions"},"words":"SPSA with gradient correction"},
  {"domain":"numbers","name":"cma-es","tries":{"setting":"population","usual":20,"what":"points"},"words":"CMA-ES: a cloud of points that moves and changes its shape"},
  {"domain":"numbers","name":"hiso","tries":{"setting":"directions","usual":5,"what":"directions"},"words":"random differences, scaled by what all have learnt of the curvature"},
  {"domain":"numbers","name":"node-perturbation","tries":{"setting":"directions","usual":3,"what":"directions"},"words":"random differences of each picture's own pattern"},
  {"domain":"numbers","name":"secants","tries":null,"words":"slopes learnt from earlier answers"},
  {"domain":"categories","name":"policy-gradient","tries":{"setting":"draws","usual":20,"what":"prompts"},"words":"draws prompts and learns from their scores"},
  {"domain":"arms","name":"bandit","tries":{"setting":"arms","usual":null,"what":"instructions"},"words":"tries whole instructions and keeps asking about the better ones"},
];
