// Written by `cargo xtask generate` from `shared/tuning/src/generator/` and `optimizer/`. Do not edit.
import type { FormField } from './FormField';
import type { Domain } from './methods';

/** What the organiser's form shows: see `About` in `shared/ground/src/form.rs`. */
export interface About {
  choice: string | null;
  fields: readonly FormField[];
}

/** Something that can be chosen by name. */
export interface Form {
  name: string;
  domain: Domain;
  about: About;
}

/** The built-in generators for images, the default first. */
export const IMAGE_FORMS: readonly [Form, ...Form[]] = [
  {"about":{"choice":"smooth, depends on the picture","fields":[{"help":"0: one pattern for all pictures","images_only":false,"kind":"whole","label":"Statistics of the picture","options":[],"path":"generator.statistics","texts":null,"value":"8","wide":false},{"help":"","images_only":false,"kind":"whole","label":"Grid of the pattern","options":[],"path":"generator.grid","texts":null,"value":"5","wide":false}]},"domain":"numbers","name":"statistic"},
  {"about":{"choice":"a frame around the picture","fields":[{"help":"","images_only":false,"kind":"whole","label":"Picture inside the frame, pixels","options":[],"path":"generator.inner","texts":null,"value":"24","wide":false}]},"domain":"numbers","name":"frame"},
  {"about":{"choice":"drawn by a small network","fields":[]},"domain":"numbers","name":"coordinator"},
];

/** The built-in generators for texts, the default first. */
export const TEXT_FORMS: readonly [Form, ...Form[]] = [
  {"about":{"choice":"words from a list","fields":[{"help":"Separated by commas or line breaks. “No word” is always one of the choices, and the starting point. Anyone can read this list, so do not take it from data owners’ texts.","images_only":false,"kind":"candidates","label":"Words that the prompt may contain","options":[],"path":"generator.candidates","texts":null,"value":"news, stories, report, world, national, market, game, software","wide":true},{"help":"","images_only":false,"kind":"whole","label":"Words in the prompt, at most","options":[],"path":"generator.positions","texts":null,"value":"4","wide":false},{"help":"Usually before the sentence, if there is one.","images_only":false,"kind":"choice","label":"Where they go","options":[["","wherever fits best"],["label","before the sentence for a label"],["input","before the text"]],"path":"generator.place","texts":null,"value":"","wide":false}]},"domain":"categories","name":"discrete"},
  {"about":{"choice":null,"fields":[]},"domain":"arms","name":"instruction"},
  {"about":{"choice":null,"fields":[]},"domain":"numbers","name":"soft"},
];

/** The built-in optimisers; the first of a domain is its default. */
export const OPTIMIZER_FORMS: readonly [Form, ...Form[]] = [
  {"about":{"choice":"random differences, Adam","fields":[{"help":"","images_only":false,"kind":"whole","label":"Directions in a step","options":[],"path":"optimizer.directions","texts":null,"value":"15","wide":false},{"help":"","images_only":false,"kind":"choice","label":"Along each direction","options":[["forward","one try"],["two-sided","two tries, forwards and backwards"]],"path":"optimizer.differences","texts":null,"value":"forward","wide":false},{"help":"","images_only":false,"kind":"number","label":"Size of a try","options":[],"path":"optimizer.perturbation","texts":null,"value":"0.05","wide":false},{"help":"","images_only":false,"kind":"number","label":"Learning rate","options":[],"path":"optimizer.learning_rate","texts":null,"value":"0.02","wide":false}]},"domain":"numbers","name":"zo-adam"},
  {"about":{"choice":"random differences, plain steps","fields":[{"help":"","images_only":false,"kind":"whole","label":"Directions in a step","options":[],"path":"optimizer.directions","texts":null,"value":"15","wide":false},{"help":"","images_only":false,"kind":"choice","label":"Along each direction","options":[["forward","one try"],["two-sided","two tries, forwards and backwards"]],"path":"optimizer.differences","texts":null,"value":"forward","wide":false},{"help":"","images_only":false,"kind":"number","label":"Size of a try","options":[],"path":"optimizer.perturbation","texts":null,"value":"0.05","wide":false},{"help":"","images_only":false,"kind":"number","label":"Learning rate","options":[],"path":"optimizer.learning_rate","texts":null,"value":"0.02","wide":false}]},"domain":"numbers","name":"zo-sgd"},
  {"about":{"choice":"SPSA with gradient correction","fields":[{"help":"","images_only":false,"kind":"whole","label":"Directions in a step","options":[],"path":"optimizer.directions","texts":null,"value":"15","wide":false}]},"domain":"numbers","name":"spsa-gc"},
  {"about":{"choice":null,"fields":[]},"domain":"numbers","name":"cma-es"},
  {"about":{"choice":null,"fields":[]},"domain":"numbers","name":"hiso"},
  {"about":{"choice":"random differences of each picture's own pattern","fields":[]},"domain":"numbers","name":"node-perturbation"},
  {"about":{"choice":"slopes learnt from earlier answers","fields":[]},"domain":"numbers","name":"secants"},
  {"about":{"choice":"draws prompts and learns from their scores","fields":[{"help":"Each is asked with every text of the step.","images_only":false,"kind":"whole","label":"Prompts tried in a step","options":[],"path":"optimizer.draws","texts":null,"value":"20","wide":false}]},"domain":"categories","name":"policy-gradient"},
  {"about":{"choice":null,"fields":[]},"domain":"arms","name":"bandit"},
];
