"use strict";
/* From a picture to the square image that the network was trained on, step by step as the package
   `mnist_lit.pictures` does it, with its constants. A picture is {values, width, height}: grey
   values 0 to 255, row by row. */
const CONSTANTS = MODEL.constants;

function percentile(values, percent) {
  const sorted = Float32Array.from(values).sort();
  const at = ((sorted.length - 1) * percent) / 100, low = Math.floor(at);
  return sorted[low] + (sorted[Math.min(low + 1, sorted.length - 1)] - sorted[low]) * (at - low);
}

function median(values) {
  return percentile(values, 50);
}

/** Round as Python does: a half to the even number. */
function round(value) {
  const low = Math.floor(value);
  return value - low === 0.5 ? low + (low % 2) : Math.round(value);
}

function shareOf(mask) {
  return mask.reduce((sum, is) => sum + is, 0) / mask.length;
}

function clamp(value, low, high) {
  return Math.min(Math.max(value, low), high);
}

/** Return Otsu's threshold: the cut that leaves the least variance on its two sides. */
function otsu(values) {
  let low = Infinity, high = -Infinity;
  for (const value of values) { if (value < low) low = value; if (value > high) high = value; }
  if (high === low) { low -= 0.5; high += 0.5; } // as numpy.histogram does
  const counts = new Float64Array(256);
  const width = (high - low) / 256;
  for (const value of values) counts[Math.min(Math.floor((value - low) / width), 255)]++;
  let total = 0;
  counts.forEach((count, i) => { total += count * (low + (i + 0.5) * width); });
  let below = 0, sum = 0, best = -1, cut = high; // where all values are alike
  for (let i = 0; i < 255; i++) {
    below += counts[i];
    sum += counts[i] * (low + (i + 0.5) * width);
    const above = values.length - below;
    if (!below || !above) continue;
    const between = below * above * (sum / below - (total - sum) / above) ** 2;
    if (between > best) { best = between; cut = low + (i + 1) * width; }
  }
  return cut;
}

/** Solve a system of linear equations by elimination; null where it has no single solution. */
function solve(matrix, right) {
  const n = right.length;
  const rows = matrix.map((row, i) => [...row, right[i]]);
  for (let i = 0; i < n; i++) {
    let pivot = i;
    for (let j = i + 1; j < n; j++) if (Math.abs(rows[j][i]) > Math.abs(rows[pivot][i])) pivot = j;
    [rows[i], rows[pivot]] = [rows[pivot], rows[i]];
    if (rows[i][i] === 0) return null;
    for (let j = i + 1; j < n; j++) {
      const factor = rows[j][i] / rows[i][i];
      for (let k = i; k <= n; k++) rows[j][k] -= factor * rows[i][k];
    }
  }
  const result = new Array(n).fill(0);
  for (let i = n - 1; i >= 0; i--) {
    let rest = rows[i][n];
    for (let k = i + 1; k < n; k++) rest -= rows[i][k] * result[k];
    result[i] = rest / rows[i][i];
  }
  return result;
}

/** Return n coefficients of the surface of least squares through points [terms, value]. */
function fitSurface(points, n) {
  const matrix = Array.from({ length: n }, () => new Array(n).fill(0));
  const right = new Array(n).fill(0);
  for (const [terms, value] of points) for (let i = 0; i < n; i++) {
    right[i] += terms[i] * value;
    for (let j = 0; j < n; j++) matrix[i][j] += terms[i] * terms[j];
  }
  return solve(matrix, right);
}

/** Return the ground's brightness as a quadratic surface, fitted to what isn't ink. */
function ground({ values, width, height }) {
  const span = (i, n) => (n > 1 ? -1 + (2 * i) / (n - 1) : -1);
  const terms = (px, py) => {
    const x = span(px, width), y = span(py, height);
    return [1, x, y, x * x, x * y, y * y];
  };
  const step = Math.max(Math.floor(Math.max(width, height) / CONSTANTS.ground_points), 1);
  const points = [];
  for (let y = 0; y < height; y += step) for (let x = 0; x < width; x += step) {
    points.push([terms(x, y), values[y * width + x]]);
  }
  const cut = otsu(values);
  const flat = median(values.filter((value) => value <= cut));
  let surface = points.map(() => flat);
  let weights = null;
  for (let i = 0; i < CONSTANTS.ground_rounds; i++) {
    const rest = points.map(([, value], k) => value - surface[k]);
    const limit = otsu(rest);
    const chosen = points.filter((_, k) => rest[k] <= limit);
    // Where little is seen of it, a curved surface would rise into the ink.
    const n = chosen.length >= CONSTANTS.curved_ground * points.length ? 6 : 3;
    if (chosen.length >= CONSTANTS.ground_least_points) weights = fitSurface(chosen, n);
    else weights = null;
    if (!weights) return values.map(() => flat);
    surface = points.map(([t]) => weights.reduce((sum, weight, k) => sum + t[k] * weight, 0));
  }
  const [a, b, c, d = 0, e = 0, f = 0] = weights;
  return values.map((_, i) => {
    const x = span(i % width, width), y = span(Math.floor(i / width), height);
    return a + b * x + c * y + d * x * x + e * x * y + f * y * y;
  });
}

/** Return the number of the connected part that each pixel of a mask belongs to, and how many. */
function label(mask, width, height) {
  const parts = new Int32Array(mask.length);
  let n = 0;
  for (let start = 0; start < mask.length; start++) {
    if (!mask[start] || parts[start]) continue;
    parts[start] = ++n;
    const stack = [start];
    while (stack.length) {
      const at = stack.pop(), x = at % width, y = Math.floor(at / width);
      for (let dy = -1; dy <= 1; dy++) for (let dx = -1; dx <= 1; dx++) {
        const nx = x + dx, ny = y + dy, next = ny * width + nx;
        const inside = nx >= 0 && ny >= 0 && nx < width && ny < height;
        if (inside && mask[next] && !parts[next]) { parts[next] = n; stack.push(next); }
      }
    }
  }
  return { parts, n };
}

/** Tell which of a mask's connected parts belong to the character; part 0 is the ground. */
function keptParts(found, width, height) {
  const { parts, n } = found;
  const sizes = new Float64Array(n + 1);
  for (const part of parts) sizes[part]++;
  const along = Array.from({ length: n + 1 }, () => 0); // the largest share of a side
  const count = (side) => {
    const counts = new Float64Array(n + 1);
    for (const part of side) counts[part]++;
    counts.forEach((found, part) => { along[part] = Math.max(along[part], found / side.length); });
  };
  count(parts.subarray(0, width));
  count(parts.subarray(width * (height - 1)));
  for (const x of [0, width - 1]) count(Array.from({ length: height }, (_, y) => parts[y * width + x]));
  const inner = along.map((share, part) => part > 0 && share < CONSTANTS.along_side);
  const most = inner.reduce((found, is, part) => (is ? Math.max(found, sizes[part]) : found), 0);
  let kept = inner.map((is, part) => is && sizes[part] > CONSTANTS.dust * most);
  if (!kept.some(Boolean)) kept = kept.map((_, part) => part > 0);
  let largest = 0;
  kept.forEach((is, part) => { if (is && !(largest && sizes[part] <= sizes[largest])) largest = part; });
  if (along[largest] > 0) return kept;
  // What reaches in from the picture's edge far from the largest part isn't of it.
  const boxes = boxesOf(found, width), own = boxes[largest - 1];
  const distance = (box) => Math.max(
    box.top - own.top - own.height, own.top - box.top - box.height,
    box.left - own.left - own.width, own.left - box.left - box.width);
  const reach = CONSTANTS.farthest * Math.max(own.width, own.height);
  return kept.map((is, part) => is && (along[part] === 0 || distance(boxes[part - 1]) <= reach));
}

/** Let a mask grow by a pixel in four directions, again and again. */
function grow(mask, width, height, rounds) {
  let near = mask;
  for (let i = 0; i < rounds; i++) {
    near = near.map((is, at) => {
      const x = at % width;
      return is || (x > 0 && near[at - 1]) || (x < width - 1 && near[at + 1])
        || near[at - width] || near[at + width] || false;
    });
  }
  return near;
}

function transpose(values, width, height) {
  return values.map((_, i) => values[(i % height) * width + Math.floor(i / height)]);
}

/** Return the first row of each pixel's vertical run in a mask, and the row after it. */
function verticalRuns(mask, width, height) {
  const start = new Int32Array(mask.length), stop = new Int32Array(mask.length);
  for (let x = 0; x < width; x++) for (let y = 0; y < height; y++) {
    if (!mask[y * width + x]) continue;
    let end = y;
    while (end < height && mask[end * width + x]) end++;
    for (let row = y; row < end; row++) { start[row * width + x] = y; stop[row * width + x] = end; }
    y = end;
  }
  return { start, stop };
}

/** Mark the pixels of the line that lies about a row in each column. */
function eraseLine(above, mask, width, height, track, runs, { erased, bands }) {
  const found = [];
  track.forEach((row, x) => {
    const at = row * width + x;
    if (row >= 0 && row < height && mask[at]) found.push([x, row, runs.start[at], runs.stop[at]]);
  });
  const margin = CONSTANTS.line_end * width;
  if (found[0][0] > margin || found[found.length - 1][0] < width - 1 - margin) return; // a stroke
  const thickness = median(found.map(([, , top, bottom]) => bottom - top));
  const half = thickness / 2, thickest = thickness * CONSTANTS.line_swell + 1;
  const offset = median(found.map(([, row, top, bottom]) => (top + bottom) / 2 - row));
  const darkest = CONSTANTS.line_darker * median(found.map(([x, , top, bottom]) => {
    let peak = -Infinity;
    for (let y = top; y < bottom; y++) peak = Math.max(peak, above[y * width + x]);
    return peak;
  }));
  const mark = (marks, x, first, last) => {
    for (let y = first; y < last; y++) if (above[y * width + x] <= darkest) marks[y * width + x] = true;
  };
  // A stroke that crosses the line goes on above it and below it, if not in the same column.
  const rises = new Array(width).fill(false), falls = new Array(width).fill(false);
  const bandOf = (row) => [Math.max(round(offset + row - half), 0), Math.min(round(offset + row + half), height)];
  for (const [x, row, top, bottom] of found) {
    const [high, low] = bandOf(row);
    rises[x] = top < high - 1;
    falls[x] = bottom > low + 1;
  }
  const beside = round(thickness);
  const near = (those, x) => those.slice(Math.max(x - beside, 0), x + beside + 1).some(Boolean);
  for (const [x, row, top, bottom] of found) {
    const [high, low] = bandOf(row);
    mark(bands, x, high, low);
    if ((rises[x] && near(falls, x)) || (falls[x] && near(rises, x))) continue;
    if (bottom - top > thickest) mark(erased, x, high, low); // a stroke ends at the line
    else mark(erased, x, top, bottom);
  }
}

/** Let a mask grow by a row up and down: a thin line's pixels may lie a row beside its track. */
function thickenRows(mask, width) {
  return mask.map((is, i) => is || mask[i - width] || mask[i + width] || false);
}

/** Return the nearly level lines from the left side of a mask to the right. */
function levelLines(above, mask, width, height) {
  const found = { erased: mask.map(() => false), bands: mask.map(() => false) };
  const rows = [], columns = [];
  mask.forEach((is, i) => { if (is) { rows.push(Math.floor(i / width)); columns.push(i % width); } });
  if (!rows.length) return found;
  // Sheared by the right slope, lines lie level, and their pixels in as few rows as can be.
  const middle = (width - 1) / 2, slopes = CONSTANTS.line_slopes, least = CONSTANTS.line_share * width;
  const below = Math.floor(CONSTANTS.steepest_line * width) + 1; // how far a sheared row may lie outside
  let sharpest = 0, counts = null, steepness = 0;
  for (let i = 0; i < slopes; i++) {
    const slope = CONSTANTS.steepest_line * ((2 * i) / (slopes - 1) - 1);
    const shift = Array.from({ length: width }, (_, x) => round(slope * (x - middle)) - below);
    const levels = new Int32Array(height + 2 * below);
    rows.forEach((row, k) => { levels[row - shift[columns[k]]]++; });
    if (!levels.some((count) => count >= least)) continue;
    const sharpness = levels.reduce((sum, count) => sum + count * count, 0);
    if (sharpness > sharpest) { sharpest = sharpness; counts = levels; steepness = slope; }
  }
  if (!counts) return found;
  const runs = verticalRuns(mask, width, height);
  for (let level = 0; level < counts.length; level++) {
    if (counts[level] < least) continue;
    let first = level;
    for (; level < counts.length && counts[level] >= least; level++) {
      if (counts[level] > counts[first]) first = level;
    }
    const track = Array.from({ length: width }, (_, x) => round(first - below + steepness * (x - middle)));
    eraseLine(above, mask, width, height, track, runs, found);
  }
  return found;
}

/** Return the pixels of straight lines that run from one side of a mask to the other. */
function lines(above, mask, width, height) {
  const none = mask.map(() => false);
  if (shareOf(mask) > CONSTANTS.most_printed) return none; // noise
  const across = levelLines(above, thickenRows(mask, width), width, height);
  const [turned, turnedMask] = [above, mask].map((own) => transpose(own, width, height));
  const down = levelLines(turned, thickenRows(turnedMask, height), height, width);
  const [erased, bands] = [down.erased, down.bands].map((own) => transpose(own, height, width));
  const found = mask.map((is, i) => is && (across.erased[i] || erased[i] || (across.bands[i] && bands[i])));
  if (!found.some(Boolean)) return found;
  const rest = label(mask.map((is, i) => is && !found[i]), width, height);
  const longest = boxesOf(rest, width).reduce((most, box) => Math.max(most, box.width, box.height), 0);
  return longest < CONSTANTS.least_character * Math.min(width, height) ? none : found;
}

/** Return the places in a part, {index, width, height}, in which its upper side is level. */
function levelRows(part, width, height) {
  const upper = Array.from({ length: width }, (_, x) => {
    for (let y = 0; y < height; y++) if (part[y * width + x]) return y;
    return 0;
  });
  const third = Math.max(Math.floor(width / 3), 1);
  const rise = median(upper.slice(-third)) - median(upper.slice(0, third));
  let shift = upper.map((_, x) => round((rise / Math.max(width - third, 1)) * x));
  const least = Math.min(...shift);
  shift = shift.map((own) => own - least);
  if (Math.max(...shift) >= Math.floor(height / 2)) shift = shift.map(() => 0); // no side of a box
  const level = height - Math.max(...shift);
  const index = new Int32Array(level * width).map((_, i) => i + shift[i % width] * width);
  return { index, width, height: level };
}

/** Return the places in a printed box in which its sides are level and upright; null if the part is
    none: one of its sides isn't straight from corner to corner. */
function frameOf(part, width, height) {
  const rows = levelRows(part, width, height);
  const turned = transpose(rows.index, width, rows.height);
  const columns = levelRows(Array.from(turned, (at) => part[at]), rows.height, width);
  const wide = columns.height, high = columns.width;
  const index = transpose(Int32Array.from(columns.index, (at) => turned[at]), high, wide);
  const level = Array.from(index, (at) => part[at]);
  const slack = CONSTANTS.frame_slack * Math.min(wide, high);
  const straight = (length, depth, at) => {
    let near = 0;
    for (let i = 0; i < length; i++) {
      for (let k = 0; k <= slack && k < depth; k++) if (level[at(i, k)]) { near++; break; }
    }
    return near / length >= CONSTANTS.frame_share;
  };
  if (!straight(wide, high, (x, y) => y * wide + x) || !straight(wide, high, (x, y) => (high - 1 - y) * wide + x)
    || !straight(high, wide, (y, x) => y * wide + x) || !straight(high, wide, (y, x) => y * wide + wide - 1 - x)
    || shareOf(level) > CONSTANTS.most_printed) return null;
  const full = (length, across, at) => {
    const found = [];
    for (let i = 0; i < length; i++) {
      let count = 0;
      for (let k = 0; k < across; k++) if (level[at(i, k)]) count++;
      if (count > across / 2) found.push(i);
    }
    return found;
  };
  const ys = full(high, wide, (y, x) => y * wide + x), xs = full(wide, high, (x, y) => y * wide + x);
  if (!ys.length || !xs.length) return null;
  const [top, left] = [ys[0], xs[0]], [bottom, right] = [ys[ys.length - 1], xs[xs.length - 1]];
  const [w, h] = [right - left + 1, bottom - top + 1];
  const inner = new Int32Array(w * h).map((_, i) => index[(top + Math.floor(i / w)) * wide + left + (i % w)]);
  return { index: inner, width: w, height: h };
}

/** Return the bounding boxes of connected parts, from the first. */
function boxesOf({ parts, n }, width) {
  const boxes = Array.from({ length: n }, () => ({ left: Infinity, right: -1, top: Infinity, bottom: -1 }));
  parts.forEach((part, i) => {
    if (!part) return;
    const box = boxes[part - 1], x = i % width, y = Math.floor(i / width);
    box.left = Math.min(box.left, x); box.right = Math.max(box.right, x);
    box.top = Math.min(box.top, y); box.bottom = Math.max(box.bottom, y);
  });
  return boxes.map(({ left, right, top, bottom }) => ({ left, top, width: right - left + 1, height: bottom - top + 1 }));
}

/** Erase printed boxes, and lines that end before the picture does, in what is above the ground and
    in the mask; nothing if nothing would be left. */
function eraseFrames(above, mask, width, height) {
  const own = above.slice(), rest = mask.slice(), empty = [];
  const labels = label(mask, width, height);
  let any = false;
  boxesOf(labels, width).forEach((box, i) => {
    const [w, h] = [box.width, box.height];
    if (Math.max(w, h) < CONSTANTS.least_character * Math.min(width, height)) return;
    const place = new Int32Array(w * h).map((_, k) => (box.top + Math.floor(k / w)) * width + box.left + (k % w));
    const part = Array.from(place, (at) => labels.parts[at] === i + 1);
    const inside = frameOf(part, w, h);
    let printed = part.map(() => false);
    if (inside) {
      const at = inside.index.map((k) => place[k]);
      const found = lines(Float32Array.from(at, (k) => own[k]), Array.from(at, (k) => rest[k]), inside.width, inside.height);
      if (!found.some(Boolean)) { // nothing else is there
        empty.push(...Array.from(place).filter((_, k) => part[k]));
        return;
      }
      printed = part.slice(); // its ragged ends
      inside.index.forEach((k, j) => { printed[k] = found[j]; });
    } else if (w > CONSTANTS.widest_part * h) {
      const [heights, drawn] = [Float32Array.from(place, (k) => own[k]), Array.from(place, (k) => rest[k])];
      const { erased } = levelLines(heights, thickenRows(drawn, w), w, h);
      printed = drawn.map((is, k) => is && erased[k]);
      const beside = rest.slice();
      printed.forEach((is, k) => { if (is) beside[place[k]] = false; });
      const tallest = boxesOf(label(beside, width, height), width).reduce((most, { height: own }) => Math.max(most, own), 0);
      if (tallest <= (CONSTANTS.least_beside_line * printed.filter(Boolean).length) / w) return;
      if (tallest >= w / CONSTANTS.longest_bar) return; // it may be the bar of a broken 4
    }
    if (!printed.some(Boolean)) return;
    any = true;
    grow(printed, w, h, CONSTANTS.line_fringe).forEach((is, k) => { if (is) { own[place[k]] = 0; rest[place[k]] = false; } });
  });
  if (any) for (const at of empty) rest[at] = false; // an empty box beside others isn't a character
  return rest.some(Boolean) ? [own, rest] : [above, mask];
}

/** Combine the values up to `reach` pixels to each side, along the rows and then the columns, by
    Math.min or Math.max. Beyond its end a line goes on as it ended. */
function sweep(picture, reach, combine) {
  const size = 2 * reach + 1;
  return alongBoth(picture, reach, (line, output, at) => {
    let span = 1; // line[i] combines so many values from i on
    for (; 2 * span <= size; span *= 2) {
      for (let i = 0; i + span < line.length; i++) line[i] = combine(line[i], line[i + span]);
    }
    for (let i = 0; i + 2 * reach < line.length; i++) output[at + i] = combine(line[i], line[i + size - span]);
  });
}

/** Return the means of the values up to `reach` pixels to each side. */
function blur(picture, reach) {
  return alongBoth(picture, reach, (line, output, at) => {
    let sum = 0;
    for (let i = 0; i < line.length; i++) {
      sum += line[i];
      if (i >= 2 * reach) {
        output[at + i - 2 * reach] = sum / (2 * reach + 1);
        sum -= line[i - 2 * reach];
      }
    }
  });
}

/** Apply a function to each row, made longer by `reach` pixels at either end, then to each column. */
function alongBoth({ values, width, height }, reach, apply) {
  const rows = (own, length) => {
    const output = new Float32Array(own.length), line = new Float64Array(length + 2 * reach);
    for (let at = 0; at < own.length; at += length) {
      for (let i = 0; i < line.length; i++) line[i] = own[at + clamp(i - reach, 0, length - 1)];
      apply(line, output, at);
    }
    return output;
  };
  const turned = rows(transpose(rows(values, width), width, height), height);
  return { values: transpose(turned, height, width), width, height };
}

/** Tell whether a square too large for a stroke is true along one of the sides. */
function holdsPatch(mask, width, height) {
  const size = round(CONSTANTS.shadow_patch * Math.max(width, height));
  if (size > Math.min(width, height)) return false;
  const along = (length, at) => { // a run of so many lines whose first `size` pixels are true
    let run = 0;
    for (let i = 0; i < length; i++) {
      let all = true;
      for (let k = 0; k < size && all; k++) all = mask[at(i, k)];
      run = all ? run + 1 : 0;
      if (run >= size) return true;
    }
    return false;
  };
  return along(width, (x, y) => y * width + x) || along(width, (x, y) => (height - 1 - y) * width + x)
    || along(height, (y, x) => y * width + x) || along(height, (y, x) => y * width + width - 1 - x);
}

/** Return the widths of strokes to be tried, from the finest: to 2 reach + 1 pixels. */
function reachesFor({ width, height }) {
  return CONSTANTS.stroke_widths.map((share) => Math.max(round((share / 2) * Math.min(width, height)), 1));
}

/** Return how far light strokes stand out, those at most 2 reach + 1 pixels broad. */
function strokesOf(picture, reach) {
  const opened = sweep(sweep(picture, reach, Math.min), reach, Math.max);
  const ground = blur(blur(opened, reach), reach).values; // the opening has hard edges
  return { ...picture, values: picture.values.map((value, i) => value - Math.min(ground[i], value)) };
}

/** Tell whether dark strokes stand out more than light ones, at the width that tells best. */
function strokesAreDark({ values, width, height }) {
  const small = { width: width >> 1, height: height >> 1 };
  const light = new Float32Array(small.width * small.height).map((_, i) => {
    const at = 2 * Math.floor(i / small.width) * width + 2 * (i % small.width);
    return (values[at] + values[at + 1] + values[at + width] + values[at + width + 1]) / 4;
  });
  const energy = (own, reach) => strokesOf({ ...small, values: own }, reach).values
    .reduce((sum, value) => sum + value * value, 0) / light.length;
  let lead = 0;
  for (const reach of reachesFor(small)) {
    const own = Math.log((energy(light.map((value) => 255 - value), reach) + 1e-6) / (energy(light, reach) + 1e-6));
    if (Math.abs(own) > Math.abs(lead)) lead = own;
  }
  return lead > 0;
}

function aboveGround(picture) {
  const base = ground(picture);
  return picture.values.map((value, i) => value - base[i]);
}

/** Return how far light ink lies above a ground in light and in shadow. */
function aboveShadows(picture) {
  const { width, height } = picture;
  let above;
  for (const reach of reachesFor(picture)) {
    above = aboveGround(strokesOf(picture, reach));
    const cut = otsu(above);
    const found = thicknessOf(Array.from(above, (value) => value > cut), width, height);
    if (found < CONSTANTS.fine_stroke * (2 * reach + 1)) break; // broader strokes would be hollow
  }
  return above;
}

/** Return how thick the strokes of a mask are, in pixels: its area by half its outline. */
function thicknessOf(mask, width, height) {
  let area = 0, edge = 0;
  mask.forEach((is, i) => {
    if (!is) return;
    const x = i % width;
    const inner = x > 0 && mask[i - 1] && x < width - 1 && mask[i + 1] && mask[i - width] && mask[i + width];
    area++;
    if (!inner) edge++;
  });
  return (2 * area) / Math.max(edge, 1);
}

/** Return ink whose strokes are about as thick as those that a network was trained on. */
function thicken(ink, chosen, width, height) {
  const box = bounds({ values: Float32Array.from(chosen), width, height });
  const scale = CONSTANTS.mnist_box / Math.max(box.width, box.height);
  const stroke = thicknessOf(chosen, width, height) * scale;
  const reach = round((CONSTANTS.thickness - stroke) / 2 / scale);
  if (stroke >= CONSTANTS.thinnest || reach < 1) return ink;
  return sweep({ values: ink, width, height }, reach, Math.max).values;
}

/** Tell whether marks are scattered: neighbouring pixels have little in common. */
function isNoise(mask, parts, width, height) {
  let down = 0, across = 0;
  mask.forEach((is, i) => {
    if (i >= width && is !== mask[i - width]) down++;
    if (i % width > 0 && is !== mask[i - 1]) across++;
  });
  const share = shareOf(mask);
  const changes = down / ((height - 1) * width) + across / (height * (width - 1));
  // A slanting line of one pixel changes as often as noise does, but has few parts.
  if (changes <= CONSTANTS.noise_changes * 4 * share * (1 - share)) return false;
  return parts + label(mask.map((is) => !is), width, height).n > CONSTANTS.noise_parts;
}

/** Tell whether there are so many parts, or the chosen ones are so wide, that they are several. */
function isSeveral({ parts, n }, kept, chosen, width, height) {
  const sizes = new Float64Array(n + 1);
  for (const part of parts) sizes[part]++;
  const large = sizes.subarray(1).filter((size) => size >= CONSTANTS.least_part * parts.length);
  const box = bounds({ values: Float32Array.from(chosen), width, height });
  return large.length >= CONSTANTS.several
    || (kept.filter(Boolean).length > 1 && box.width > CONSTANTS.widest_of_parts * box.height);
}

/** Return how much ink each pixel of a picture with light ink holds, 0 to 1, and what seems wrong. */
function findInk(picture) {
  const { width, height } = picture;
  let above = aboveGround(picture);
  let cut = otsu(above);
  if (holdsPatch(Array.from(above, (value) => value > cut), width, height)) { // between shadows
    above = aboveShadows(picture);
    cut = otsu(above);
  }
  const noiseOf = (values) => {
    const middle = median(values);
    return CONSTANTS.noise_in_deviations * median(values.map((value) => Math.abs(value - middle)));
  };
  let mask = Array.from(above, (value) => value > cut);
  const least = CONSTANTS.noise_floor * noiseOf(above.filter((value) => value <= cut));
  const faint = Math.min(Math.max(CONSTANTS.line_fainter * cut, least), cut);
  const printed = lines(above, Array.from(above, (value) => value > faint), width, height);
  if (printed.some(Boolean)) {
    // Lines are softer than the mask, as ink is.
    grow(printed, width, height, CONSTANTS.line_fringe).forEach((is, i) => { if (is) above[i] = 0; });
    cut = otsu(above);
    mask = Array.from(above, (value, i) => value > cut && !printed[i]);
  }
  const noise = noiseOf(above.filter((_, i) => !mask[i]));
  [above, mask] = eraseFrames(above, mask, width, height);
  const labels = label(mask, width, height);
  const kept = keptParts(labels, width, height);
  const chosen = Array.from(labels.parts, (part) => kept[part]);
  const low = CONSTANTS.noise_floor * noise;
  const high = percentile(above.filter((_, i) => chosen[i]), CONSTANTS.full_ink_percentile);
  let ink = above.map((value) => {
    const share = clamp((value - low) / Math.max(high - low, 1e-6), 0, 1);
    return share < CONSTANTS.faintest_ink ? 0 : share;
  });
  // Ink is softer than the mask: its edge reaches a little further.
  const near = grow(chosen, width, height, Math.floor(Math.max(width, height) / 100) + 1);
  near.forEach((is, i) => { if (!is) ink[i] = 0; });
  ink = thicken(ink, chosen, width, height);
  let note = "";
  if (isNoise(mask, labels.n, width, height) || high < CONSTANTS.least_standing_out * noise) {
    note = high > CONSTANTS.clear ? "no clear character" : "hardly any contrast";
  } else if (shareOf(mask) > CONSTANTS.most_ink) note = "almost all ink";
  else if (isSeveral(labels, kept, chosen, width, height)) note = "more than one character?";
  return { values: ink, width, height, note };
}

/* Pillow's kernels: how far each reaches, and its weight at a distance. */
const BOX = [0.5, (x) => (x > -0.5 && x <= 0.5 ? 1 : 0)];
const BILINEAR = [1, (x) => Math.max(1 - Math.abs(x), 0)];
const BICUBIC = [2, (x) => {
  x = Math.abs(x);
  return x < 1 ? (1.5 * x - 2.5) * x * x + 1 : x < 2 ? -0.5 * (((x - 5) * x + 8) * x - 4) : 0;
}];

/** Return for each of `to` new pixels the first old one that it is a mean of, and their weights. */
function shares(from, to, [reach, kernel]) {
  const scale = from / to, wide = Math.max(scale, 1), support = reach * wide;
  return Array.from({ length: to }, (_, i) => {
    const centre = (i + 0.5) * scale;
    const first = Math.max(Math.floor(centre - support + 0.5), 0);
    const end = Math.min(Math.floor(centre + support + 0.5), from);
    const weights = [];
    for (let k = first; k < end; k++) weights.push(kernel((k - centre + 0.5) / wide));
    const sum = weights.reduce((a, b) => a + b, 0);
    return [first, weights.map((weight) => weight / sum)];
  });
}

/** Resample as Pillow does: first the columns, then the rows. */
function resize({ values, width, height }, newWidth, newHeight, kernel) {
  const columns = shares(width, newWidth, kernel), rows = shares(height, newHeight, kernel);
  const half = new Float32Array(newWidth * height);
  const output = new Float32Array(newWidth * newHeight);
  for (let y = 0; y < height; y++) columns.forEach(([first, weights], x) => {
    let sum = 0;
    for (let k = 0; k < weights.length; k++) sum += weights[k] * values[y * width + first + k];
    half[y * newWidth + x] = sum;
  });
  rows.forEach(([first, weights], y) => { for (let x = 0; x < newWidth; x++) {
    let sum = 0;
    for (let k = 0; k < weights.length; k++) sum += weights[k] * half[(first + k) * newWidth + x];
    output[y * newWidth + x] = sum;
  } });
  return { values: output, width: newWidth, height: newHeight };
}

/** Return the bounding box of what is above 0. */
function bounds({ values, width, height }) {
  let left = width, right = -1, top = height, bottom = -1;
  values.forEach((value, i) => {
    if (value <= 0) return;
    const x = i % width, y = Math.floor(i / width);
    left = Math.min(left, x); right = Math.max(right, x);
    top = Math.min(top, y); bottom = Math.max(bottom, y);
  });
  return { left, top, width: right - left + 1, height: bottom - top + 1 };
}

/** Return the centre of mass, x and y, in pixels from the middle of the first. */
function centre({ values, width }) {
  let sum = 0, x = 0, y = 0;
  values.forEach((value, i) => {
    sum += value;
    x += value * (i % width);
    y += value * Math.floor(i / width);
  });
  return [x / sum, y / sum];
}

/** Return a picture scaled to `longer` pixels on its longer side. */
function scaleTo(picture, longer, kernel) {
  const scale = longer / Math.max(picture.width, picture.height);
  const [width, height] = [picture.width, picture.height].map((n) => Math.max(round(n * scale), 1));
  return resize(picture, width, height, kernel);
}

/** Return a square of the ground with a smaller picture at a place in it. */
function place({ values, width }, side, left, top, ground) {
  const square = new Float32Array(side * side).fill(ground);
  values.forEach((value, i) => {
    square[(top + Math.floor(i / width)) * side + left + (i % width)] = value;
  });
  return { values: square, width: side, height: side };
}

function placeInMiddle(part, side, ground) {
  const [left, top] = [part.width, part.height].map((n) => Math.floor((side - n) / 2));
  return place(part, side, left, top, ground);
}

/** Return the ink's bounding box, scaled to `longer` pixels on its longer side. */
function scaleInk(ink, longer) {
  const { left, top, width, height } = bounds(ink);
  const values = new Float32Array(width * height).map(
    (_, i) => ink.values[(top + Math.floor(i / width)) * ink.width + left + (i % width)]);
  return scaleTo({ values, width, height }, longer, BILINEAR);
}

/** Return the image in bytes, all values from 0 to 255 used. */
function brighten({ values }) {
  const most = values.reduce((a, b) => Math.max(a, b));
  return Uint8Array.from(values, (value) => round((Math.max(value, 0) * 255) / most));
}

/** Return a length in an image of the published size as one in an image of another side. */
function lengthFor(side, length) {
  return (length * side) / CONSTANTS.published_side;
}

/** Return how far off a place may be. */
function tolerance(side, length) {
  return Math.max(lengthFor(side, length), length);
}

function fitMnist(ink, side) {
  const small = scaleInk(ink, round(lengthFor(side, CONSTANTS.mnist_box)));
  const sizes = [small.width, small.height];
  const [left, top] = centre(small).map((c, i) => clamp(round((side - 1) / 2 - c), 0, side - sizes[i]));
  return brighten(place(small, side, left, top, 0));
}

/** Blur a picture along its rows by a Gaussian, and turn it. */
function blurAndTurn({ values, width, height }) {
  const { emnist_reach: reach, emnist_sigma: sigma } = CONSTANTS;
  const weights = Array.from({ length: 2 * reach + 1 }, (_, k) => Math.exp(-(((k - reach) / sigma) ** 2) / 2));
  const sum = weights.reduce((a, b) => a + b);
  const output = new Float32Array(width * height);
  output.forEach((_, i) => {
    const x = Math.floor(i / height), row = (i % height) * width;
    weights.forEach((weight, k) => {
      const at = x + k - reach;
      if (at >= 0 && at < width) output[i] += (weight / sum) * values[row + at];
    });
  });
  return { values: output, width: height, height: width };
}

function fitEmnist(ink, side) {
  const large = round(CONSTANTS.emnist_enlargement * side);
  // The blur lets the ink's box grow at either end.
  const longer = round(lengthFor(large, CONSTANTS.emnist_box)) - 2 * CONSTANTS.emnist_reach;
  const soft = blurAndTurn(blurAndTurn(placeInMiddle(scaleInk(ink, longer), large, 0)));
  return brighten(resize(soft, side, side, BICUBIC));
}

/** Tell whether an image's ink lies in the middle as MNIST has it. */
function followsMnist(image) {
  const side = image.width, box = bounds(image);
  const off = tolerance(side, CONSTANTS.mnist_off_centre);
  return Math.max(box.width, box.height) <= round(lengthFor(side, CONSTANTS.mnist_box))
    && centre(image).every((c) => Math.abs(c - (side - 1) / 2) < off);
}

/** Tell whether an image's ink has the size and the place that EMNIST gives it. */
function followsEmnist(image) {
  const side = image.width, { left, top, width, height } = bounds(image);
  const trace = tolerance(side, CONSTANTS.emnist_trace);
  const longer = Math.max(width, height) - round(lengthFor(side, CONSTANTS.emnist_box));
  return [longer, 2 * left + width - side, 2 * top + height - side].every((off) => Math.abs(off) <= trace);
}

/** Return the values along the four sides. */
function border({ values, width, height }) {
  return [
    ...values.subarray(0, width), ...values.subarray(width * (height - 1)),
    ...Array.from({ length: height }, (_, y) => [values[y * width], values[(y + 1) * width - 1]]).flat(),
  ];
}

/** Return how far the means of 2×2 pixels lie apart: a stroke stays, a pixel of noise doesn't. */
function contrast({ values, width, height }) {
  let low = Infinity, high = -Infinity;
  for (let y = 0; y < Math.max(height - 1, 1); y++) for (let x = 0; x < Math.max(width - 1, 1); x++) {
    const right = x + (width > 1 ? 1 : 0), below = y + (height > 1 ? 1 : 0);
    const mean = (values[y * width + x] + values[y * width + right]
      + values[below * width + x] + values[below * width + right]) / 4;
    low = Math.min(low, mean); high = Math.max(high, mean);
  }
  return high - low;
}

/** Return a picture with its ink light, or null where it shows nothing. Strokes are told from shadows
    by being thin. */
function lightOnDark(picture, strokes) {
  const { values, width, height } = picture;
  if (contrast(picture) < CONSTANTS.least_contrast) return null;
  const cut = otsu(values), light = Array.from(values, (value) => value > cut);
  const turned = { values: values.map((value) => 255 - value), width, height };
  const share = shareOf(light);
  let lightGround;
  if (strokes && holdsPatch(light, width, height) && holdsPatch(light.map((is) => !is), width, height)) {
    lightGround = strokesAreDark(picture); // in light and in shadow
  } else if (share <= 1 - CONSTANTS.ground_share || share >= CONSTANTS.ground_share) {
    lightGround = share > 0.5;
  } else lightGround = shareOf(border(picture).map((value) => value > cut)) > 0.5; // a close crop
  return lightGround ? turned : picture;
}

/** Fit a whole picture into a square of its own ground. */
function fitPlain(picture, side) {
  const small = scaleTo(picture, side, BILINEAR);
  const { values } = placeInMiddle(small, side, median(border(picture)));
  return Uint8Array.from(values, (value) => clamp(round(value), 0, 255));
}

/** Return the image side×side of a picture in bytes, whether it shows nothing, and what seems wrong. */
function prepare(picture, preprocessing, side) {
  if (Math.max(picture.width, picture.height) > CONSTANTS.working_side) {
    picture = scaleTo(picture, CONSTANTS.working_side, BOX);
  }
  const light = lightOnDark(picture, preprocessing !== "plain");
  const fits = picture.width === side && picture.height === side;
  if (preprocessing === "plain") {
    return { image: fitPlain(fits ? picture : light ?? picture, side), blank: !light, note: "" };
  }
  const nothing = { image: new Uint8Array(side * side), blank: true, note: "" };
  if (!light) return nothing;
  const [follows, fit] = preprocessing === "mnist" ? [followsMnist, fitMnist] : [followsEmnist, fitEmnist];
  if (fits && follows(light)) {
    return { image: Uint8Array.from(light.values, round), blank: false, note: "" };
  }
  const ink = findInk(light);
  return ink.values.some((value) => value > 0) ? { image: fit(ink, side), blank: false, note: ink.note } : nothing;
}

/** Return the grey picture of RGBA bytes, or red, green or blue where ink and paper are of equal grey. */
function clearest(rgba, width, height) {
  const picture = (valueAt) => ({
    values: new Float32Array(width * height).map((_, i) => valueAt(4 * i)), width, height,
  });
  const grey = picture((i) => greyOf(rgba, i));
  const channels = [0, 1, 2].map((channel) => picture((i) => rgba[i + channel]));
  const contrasts = channels.map(contrast), best = contrasts.indexOf(Math.max(...contrasts));
  return contrasts[best] > CONSTANTS.clearer_colour * contrast(grey) ? channels[best] : grey;
}

/** Return the ground that a transparent picture was drawn to be seen on, from its RGBA bytes. */
function groundOf(rgba) {
  const seen = [];
  for (let i = 0; i < rgba.length; i += 4) if (rgba[i + 3] > 127) seen.push(greyOf(rgba, i));
  return seen.length && percentile(seen, 5) > 127 ? 0 : 255;
}

/** Return the grey value of the pixel at a place in RGBA bytes, with Pillow's weights. */
function greyOf(rgba, i) {
  return (rgba[i] * 19595 + rgba[i + 1] * 38470 + rgba[i + 2] * 7471 + 0x8000) >> 16;
}
