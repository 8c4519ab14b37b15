export interface Mutant {
  file: string;
  find: string;
  replace: string;
  kills: readonly string[];
}
export const mutants: readonly Mutant[] = [];
