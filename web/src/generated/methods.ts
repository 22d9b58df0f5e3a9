// Written by `cargo xtask generate` from `shared/tuning/src/generator/` and `optimizer/`. Do not edit.
import type { FormField } from './FormField';

/** What people are told: see `About` in `shared/ground/src/form.rs`. */
export interface About {
  words: string;
  choice: string | null;
  fields: readonly FormField[];
}

/** What θ means. */
export type Domain = 'numbers' | 'categories' | 'arms';

/** A prompt generator: see `ImageEntry` and `TextEntry` there. */
export interface Generator {
  name: string;
  about: About;
  domain: Domain;
  embeddings: boolean;
}

/** An optimiser: see `Entry` and `Tries` there. */
export interface Optimizer {
  name: string;
  about: About;
  domain: Domain;
  tries: { setting: string; usual: number | null; what: string };
}

/** The built-in generators for images, the default first. */
export const IMAGE_GENERATORS: readonly [Generator, ...Generator[]] = [
  {"about":{"choice":"smooth, depends on the picture","fields":[{"help":"0: one pattern for all pictures","images_only":false,"kind":"whole","label":"Statistics of the picture","options":[],"path":"generator.statistics","texts":null,"value":"8","wide":false},{"help":"","images_only":false,"kind":"whole","label":"Grid of the pattern","options":[],"path":"generator.grid","texts":null,"value":"5","wide":false}],"words":"a smooth pattern that depends on a few statistics of each picture"},"domain":"numbers","embeddings":false,"name":"statistic"},
  {"about":{"choice":"a frame around the picture","fields":[{"help":"","images_only":false,"kind":"whole","label":"Picture inside the frame, pixels","options":[],"path":"generator.inner","texts":null,"value":"24","wide":false}],"words":"a frame around the picture"},"domain":"numbers","embeddings":false,"name":"frame"},
  {"about":{"choice":"drawn by a small network","fields":[],"words":"a pattern drawn by a small network"},"domain":"numbers","embeddings":false,"name":"coordinator"},
];

/** The built-in generators for texts, the default first. */
export const TEXT_GENERATORS: readonly [Generator, ...Generator[]] = [
  {"about":{"choice":"words from a list","fields":[{"help":"Separated by commas or line breaks. “No word” is always one of the choices, and the starting point. Anyone can read this list, so do not take it from data owners’ texts.","images_only":false,"kind":"candidates","label":"Words that the prompt may contain","options":[],"path":"generator.candidates","texts":null,"value":"news, stories, report, world, national, market, game, software","wide":true},{"help":"","images_only":false,"kind":"whole","label":"Words in the prompt, at most","options":[],"path":"generator.positions","texts":null,"value":"4","wide":false},{"help":"Usually before the sentence, if there is one.","images_only":false,"kind":"choice","label":"Where they go","options":[["","wherever fits best"],["label","before the sentence for a label"],["input","before the text"]],"path":"generator.place","texts":null,"value":"","wide":false}],"words":"words from a list"},"domain":"categories","embeddings":false,"name":"discrete"},
  {"about":{"choice":null,"fields":[],"words":"an instruction from a list"},"domain":"arms","embeddings":false,"name":"instruction"},
  {"about":{"choice":null,"fields":[],"words":"embeddings, which need not be those of words"},"domain":"numbers","embeddings":true,"name":"soft"},
];

/** The built-in optimisers; the first of a domain is its default. */
export const OPTIMIZERS: readonly [Optimizer, ...Optimizer[]] = [
  {"about":{"choice":"random differences, Adam","fields":[{"help":"","images_only":false,"kind":"whole","label":"Directions in a step","options":[],"path":"optimizer.directions","texts":null,"value":"15","wide":false},{"help":"","images_only":false,"kind":"choice","label":"Along each direction","options":[["forward","one try"],["two-sided","two tries, forwards and backwards"]],"path":"optimizer.differences","texts":null,"value":"forward","wide":false},{"help":"","images_only":false,"kind":"number","label":"Size of a try","options":[],"path":"optimizer.perturbation","texts":null,"value":"0.05","wide":false},{"help":"","images_only":false,"kind":"number","label":"Learning rate","options":[],"path":"optimizer.learning_rate","texts":null,"value":"0.02","wide":false}],"words":"random differences, then Adam"},"domain":"numbers","name":"zo-adam","tries":{"setting":"directions","usual":5,"what":"directions"}},
  {"about":{"choice":"random differences, plain steps","fields":[{"help":"","images_only":false,"kind":"whole","label":"Directions in a step","options":[],"path":"optimizer.directions","texts":null,"value":"15","wide":false},{"help":"","images_only":false,"kind":"choice","label":"Along each direction","options":[["forward","one try"],["two-sided","two tries, forwards and backwards"]],"path":"optimizer.differences","texts":null,"value":"forward","wide":false},{"help":"","images_only":false,"kind":"number","label":"Size of a try","options":[],"path":"optimizer.perturbation","texts":null,"value":"0.05","wide":false},{"help":"","images_only":false,"kind":"number","label":"Learning rate","options":[],"path":"optimizer.learning_rate","texts":null,"value":"0.02","wide":false}],"words":"random differences, plain steps"},"domain":"numbers","name":"zo-sgd","tries":{"setting":"directions","usual":5,"what":"directions"}},
  {"about":{"choice":"SPSA with gradient correction","fields":[{"help":"","images_only":false,"kind":"whole","label":"Directions in a step","options":[],"path":"optimizer.directions","texts":null,"value":"15","wide":false}],"words":"SPSA with gradient correction"},"domain":"numbers","name":"spsa-gc","tries":{"setting":"directions","usual":5,"what":"directions"}},
  {"about":{"choice":null,"fields":[],"words":"CMA-ES: a cloud of points that moves and changes its shape"},"domain":"numbers","name":"cma-es","tries":{"setting":"population","usual":20,"what":"points"}},
  {"about":{"choice":null,"fields":[],"words":"random differences, scaled by what all have learnt of the curvature"},"domain":"numbers","name":"hiso","tries":{"setting":"directions","usual":5,"what":"directions"}},
  {"about":{"choice":"draws prompts and learns from their scores","fields":[{"help":"Each is asked with every text of the step.","images_only":false,"kind":"whole","label":"Prompts tried in a step","options":[],"path":"optimizer.draws","texts":null,"value":"20","wide":false}],"words":"draws prompts and learns from their scores"},"domain":"categories","name":"policy-gradient","tries":{"setting":"draws","usual":20,"what":"prompts"}},
  {"about":{"choice":null,"fields":[],"words":"tries whole instructions and keeps asking about the better ones"},"domain":"arms","name":"bandit","tries":{"setting":"arms","usual":null,"what":"instructions"}},
];
