-- What CMA-ES knows besides θ, where all participants share one search: JSON; nothing for other optimisers.
ALTER TABLE model ADD COLUMN search TEXT;
