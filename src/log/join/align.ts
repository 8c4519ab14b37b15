/**
 * Order-preserving alignment of two sequences: which element of one belongs to which of the other, so that the sum of the pairs' scores less the price of the
 * columns that are left out is the largest and no two pairs cross. (The recurrence of Needleman and Wunsch, 1970, over a band of each row. Rows are left out for
 * nothing, and so are the columns behind the last pair.)
 */

const UP = 0;
const LEFT = 1;
const DIAGONAL = 2;

/** Columns that each row may pair with: `from[i]` to before `to[i]`. Neither goes back from a row to the next. */
export interface Band {
  readonly from: Int32Array;
  readonly to: Int32Array;
}

/** Cells of a band of `n` rows. */
export function bandCells(band: Band, n: number): number {
  let cells = 0;
  for (let i = 0; i < n; i++) cells += band.to[i]! - band.from[i]! + 1;
  return cells;
}

/**
 * Aligns `n` rows with columns.
 * @param score of a pair, positive; 0 or less when the two cannot belong together
 * @param skip  price of a column that is left out, 0 or more
 * @param pairs receives each row's column, -1 without one
 * @returns the sum of the scores less the prices
 */
export function align(
  n: number,
  band: Band,
  score: (row: number, column: number) => number,
  skip: (column: number) => number,
  pairs: Int32Array,
): number {
  const { from, to } = band;
  if (n === 0) return 0;
  const first = from[0]!;
  const moves = new Uint8Array(bandCells(band, n));
  const starts = new Int32Array(n);
  // best[c - first]: of the rows so far and the columns before c.
  const best = new Float64Array(to[n - 1]! - first + 1);
  let filled = first;
  let cell = 0;
  for (let i = 0; i < n; i++) {
    const a = from[i]!;
    const b = to[i]!;
    // Columns that no row before could pair with, and if this one cannot, none at all can: they cost nothing.
    for (; filled < b; filled++) {
      const price = filled < a ? 0 : skip(filled);
      best[filled + 1 - first] = best[filled - first]! - price;
    }
    starts[i] = cell;
    let diagonal = best[a - first]!;
    moves[cell++] = UP;
    for (let c = a; c < b; c++) {
      const k = c + 1 - first;
      const up = best[k]!;
      const left = best[k - 1]! - skip(c);
      const s = score(i, c);
      let value = up;
      let move = UP;
      if (left > value) {
        value = left;
        move = LEFT;
      }
      if (s > 0 && diagonal + s > value) {
        value = diagonal + s;
        move = DIAGONAL;
      }
      diagonal = up;
      best[k] = value;
      moves[cell++] = move;
    }
  }
  let c = from[n - 1]!;
  for (let k = c + 1; k <= to[n - 1]!; k++) if (best[k - first]! > best[c - first]!) c = k;
  const total = best[c - first]!;
  for (let i = n - 1; i >= 0; i--) {
    pairs[i] = -1;
    const a = from[i]!;
    c = Math.min(c, Math.max(a, to[i]!));
    while (c > a) {
      const move = moves[starts[i]! + c - a]!;
      if (move === LEFT) {
        c--;
        continue;
      }
      if (move === DIAGONAL) pairs[i] = --c;
      break;
    }
  }
  return total;
}
