/** What is known of dialects. Their list is Rust’s; a name that it does not hold is taken for the default one. */
import { DIALECTS, type Dialect } from '../generated/dialects';

/** The dialect of this name; the default one where the name is missing or unknown. */
export function dialectOf(name: unknown): Dialect {
  return DIALECTS.find((dialect) => dialect.name === name) ?? DIALECTS[0];
}

/** The names of the dialects that `has` holds for. */
export function dialectsThat(has: (dialect: Dialect) => boolean): string[] {
  return DIALECTS.filter(has).map(({ name }) => name);
}
