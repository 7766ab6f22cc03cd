"use strict";
/* Runs the layers of a network of PyTorch on one image.

   A layer is {name, kind, arguments, input, output}: its class in torch.nn and all its arguments by
   torch's names, and the shapes that it takes and gives: [channels, height, width] of a map or
   [features]. The values of a map lie in the order (height, width, channels), so that the longest
   loops, over channels and filters, run along the memory. Sums are made in double precision. */

/** Return a size for height and width. */
function pair(size) {
  return Array.isArray(size) ? size : [size, size];
}

/** Return a convolution's weights (filters, channels, height, width) with the filters innermost. */
function filtersInnermost(weight, filters, channels, groups, rows, columns) {
  const taken = channels / groups, group = filters / groups;
  const kernel = new Float32Array(weight.length);
  let at = 0;
  for (let f = 0; f < filters; f++) for (let c = 0; c < taken; c++) {
    const channel = Math.floor(f / group) * taken + c;
    for (let i = 0; i < rows; i++) for (let j = 0; j < columns; j++) {
      kernel[((i * columns + j) * channels + channel) * group + (f % group)] = weight[at++];
    }
  }
  return kernel;
}

function convolve({ name, arguments: given, input, output }, weights) {
  const [channels, height, width] = input, [filters, newHeight, newWidth] = output;
  const { groups } = given, taken = channels / groups, group = filters / groups;
  const [rows, columns] = pair(given.kernel_size), [down, right] = pair(given.stride);
  const [top, left] = pair(given.padding), [apart, aside] = pair(given.dilation);
  const weight = weights[`${name}.weight`];
  const kernel = filtersInnermost(weight, filters, channels, groups, rows, columns);
  const bias = weights[`${name}.bias`] ?? new Float32Array(filters);
  const sums = new Float64Array(filters);

  function add(values, pixel, tap) {
    for (let c = 0; c < channels; c++) {
      const value = values[pixel * channels + c];
      if (value === 0) continue; // of empty ground and of what a ReLU cut off: most of all
      const from = (tap * channels + c) * group, to = Math.floor(c / taken) * group;
      for (let f = 0; f < group; f++) sums[to + f] += value * kernel[from + f];
    }
  }

  return (values) => {
    const result = new Float32Array(newHeight * newWidth * filters);
    for (let y = 0; y < newHeight; y++) for (let x = 0; x < newWidth; x++) {
      sums.set(bias);
      for (let i = 0; i < rows; i++) {
        const row = y * down - top + i * apart;
        if (row < 0 || row >= height) continue; // in the padding
        for (let j = 0; j < columns; j++) {
          const column = x * right - left + j * aside;
          if (column >= 0 && column < width) add(values, row * width + column, i * columns + j);
        }
      }
      result.set(sums, (y * newWidth + x) * filters);
    }
    return result;
  };
}

function dense({ name, input: [features], output: [answers] }, weights) {
  const weight = weights[`${name}.weight`], bias = weights[`${name}.bias`];
  const kernel = filtersInnermost(weight, answers, features, 1, 1, 1);
  return (values) => {
    const sums = bias ? Float64Array.from(bias) : new Float64Array(answers);
    values.forEach((value, i) => {
      for (let a = 0; a < answers; a++) sums[a] += value * kernel[i * answers + a];
    });
    return sums;
  };
}

/** Return a pool that gives `reduce` of each window: its part inside the map and its padded size. */
function pool({ input, output }, { kernel_size, stride, padding }, reduce) {
  const [channels, height, width] = input, [, newHeight, newWidth] = output;
  const [rows, columns] = pair(kernel_size), [down, right] = pair(stride);
  const [top, left] = pair(padding);
  return (values) => {
    const result = new Float32Array(newHeight * newWidth * channels);
    for (let y = 0; y < newHeight; y++) for (let x = 0; x < newWidth; x++) {
      const fromY = y * down - top, fromX = x * right - left;
      // A window may reach beyond the padding where sizes are rounded up; that part doesn't count.
      const toY = Math.min(fromY + rows, height + top), toX = Math.min(fromX + columns, width + left);
      const window = {
        fromY: Math.max(fromY, 0), toY: Math.min(toY, height),
        fromX: Math.max(fromX, 0), toX: Math.min(toX, width),
        padded: (toY - fromY) * (toX - fromX),
      };
      for (let c = 0; c < channels; c++) {
        result[(y * newWidth + x) * channels + c] = reduce(values, window, width, channels, c);
      }
    }
    return result;
  };
}

function most(values, { fromY, toY, fromX, toX }, width, channels, c) {
  let found = -Infinity;
  for (let y = fromY; y < toY; y++) for (let x = fromX; x < toX; x++) {
    found = Math.max(found, values[(y * width + x) * channels + c]);
  }
  return found;
}

function total(values, { fromY, toY, fromX, toX }, width, channels, c) {
  let sum = 0;
  for (let y = fromY; y < toY; y++) for (let x = fromX; x < toX; x++) {
    sum += values[(y * width + x) * channels + c];
  }
  return sum;
}

function meanWithPadding(values, window, ...at) {
  return total(values, window, ...at) / window.padded;
}

function meanInside(values, window, ...at) {
  const { fromY, toY, fromX, toX } = window;
  return total(values, window, ...at) / ((toY - fromY) * (toX - fromX));
}

/** Return the arguments of a pool of the whole map. */
function whole({ input: [, height, width] }) {
  return { kernel_size: [height, width], stride: 1, padding: 0 };
}

/** Normalise with the statistics of the training; a channel or a feature is innermost. */
function normalise({ name, arguments: { eps } }, weights) {
  const [weight, bias, mean, variance] = ["weight", "bias", "running_mean", "running_var"].map(
    (part) => weights[`${name}.${part}`]);
  const scale = Float64Array.from(variance, (v, c) => (weight ? weight[c] : 1) / Math.sqrt(v + eps));
  const offset = Float64Array.from(mean, (m, c) => (bias ? bias[c] : 0) - m * scale[c]);
  return (values) => values.map((value, i) => {
    const c = i % scale.length;
    return value * scale[c] + offset[c];
  });
}

function padWithZeros({ arguments: { padding }, input, output }) {
  const [channels, height, width] = input, [, newHeight, newWidth] = output;
  const [left, , top] = Array.isArray(padding) ? padding : [padding, padding, padding];
  return (values) => {
    const result = new Float32Array(newHeight * newWidth * channels);
    for (let y = 0; y < height; y++) {
      const row = values.subarray(y * width * channels, (y + 1) * width * channels);
      result.set(row, ((y + top) * newWidth + left) * channels);
    }
    return result;
  };
}

/** Flatten in torch's order: channels outermost. */
function flatten({ input }) {
  const [channels, height, width] = input;
  if (input.length === 1) return (values) => values;
  const size = height * width;
  return (values) => values.map((_, i) => values[(i % size) * channels + Math.floor(i / size)]);
}

/** Return Gauss's error function: a series of positive terms, so that nothing cancels out. */
function erf(x) {
  if (Math.abs(x) > 6) return Math.sign(x);
  let term = x, sum = x;
  for (let n = 1; Math.abs(term) > 1e-12 * Math.abs(sum); n++) {
    term *= (2 * x * x) / (2 * n + 1);
    sum += term;
  }
  return (2 / Math.sqrt(Math.PI)) * Math.exp(-x * x) * sum;
}

function gelu({ arguments: { approximate } }) {
  const root = Math.sqrt(2 / Math.PI);
  const share = approximate === "tanh"
    ? (x) => Math.tanh(root * (x + 0.044715 * x ** 3)) : (x) => erf(x / Math.SQRT2);
  return pointwise((x) => 0.5 * x * (1 + share(x)));
}

function prelu({ name }, weights) {
  const slope = weights[`${name}.weight`]; // one, or one for each channel
  return (values) => values.map((x, i) => (x > 0 ? x : slope[i % slope.length] * x));
}

/** Return the probabilities: the page needs no logarithms of them. */
function softmax(values) {
  const highest = values.reduce((a, b) => Math.max(a, b));
  const powers = values.map((value) => Math.exp(value - highest));
  const sum = powers.reduce((a, b) => a + b);
  return powers.map((power) => power / sum);
}

/** Return a layer that works on each number alone. */
function pointwise(calculate) {
  return (values) => values.map((value) => calculate(value));
}

const same = () => (values) => values;
const sigmoid = (x) => 1 / (1 + Math.exp(-x));
const SELU = { alpha: 1.6732632423543772, scale: 1.0507009873554805 };

/* How a layer of each kind becomes a function from values to values. */
const LAYERS = {
  Conv2d: convolve,
  Linear: dense,
  MaxPool2d: (layer) => pool(layer, layer.arguments, most),
  AvgPool2d: (layer) =>
    pool(layer, layer.arguments, layer.arguments.count_include_pad ? meanWithPadding : meanInside),
  AdaptiveMaxPool2d: (layer) => pool(layer, whole(layer), most),
  AdaptiveAvgPool2d: (layer) => pool(layer, whole(layer), meanInside),
  BatchNorm2d: normalise,
  BatchNorm1d: normalise,
  ZeroPad2d: padWithZeros,
  Flatten: flatten,
  Dropout: same, // only in training
  Dropout2d: same,
  ReLU: () => pointwise((x) => Math.max(x, 0)),
  ReLU6: () => pointwise((x) => Math.min(Math.max(x, 0), 6)),
  LeakyReLU: ({ arguments: { negative_slope } }) => pointwise((x) => (x > 0 ? x : negative_slope * x)),
  PReLU: prelu,
  ELU: ({ arguments: { alpha } }) => pointwise((x) => (x > 0 ? x : alpha * Math.expm1(x))),
  SELU: () => pointwise((x) => SELU.scale * (x > 0 ? x : SELU.alpha * Math.expm1(x))),
  GELU: gelu,
  SiLU: () => pointwise((x) => x * sigmoid(x)),
  Tanh: () => pointwise(Math.tanh),
  Sigmoid: () => pointwise(sigmoid),
  Hardsigmoid: () => pointwise((x) => Math.min(Math.max(x / 6 + 0.5, 0), 1)),
  Softplus: () => pointwise((x) => (x > 20 ? x : Math.log1p(Math.exp(x)))),
  Softsign: () => pointwise((x) => x / (1 + Math.abs(x))),
  LogSoftmax: () => softmax,
};

/** Return a network's arrays by name from their bytes, float32 in base64, one after another. */
function readWeights(text, shapes) {
  const binary = atob(text.trim());
  const sizes = Object.values(shapes).map((shape) => shape.reduce((a, b) => a * b, 1));
  const needed = 4 * sizes.reduce((a, b) => a + b, 0);
  if (binary.length !== needed) {
    throw new Error(`This page is damaged: its weights have ${binary.length} bytes, not ${needed}.`);
  }
  const bytes = new Uint8Array(needed);
  for (let i = 0; i < needed; i++) bytes[i] = binary.charCodeAt(i);
  const view = new DataView(bytes.buffer);
  let at = 0;
  return Object.fromEntries(Object.keys(shapes).map((name, i) => {
    const values = new Float32Array(sizes[i]);
    for (let k = 0; k < values.length; k++, at += 4) values[k] = view.getFloat32(at, true);
    return [name, values];
  }));
}

/** Return the network: its layers, each with what it does to values. */
function build(layers, weights) {
  return layers.map((layer) => ({ ...layer, apply: LAYERS[layer.kind](layer, weights) }));
}

/* Where the maps of a convolution are complete: before the next one or what sums a map up. */
const ENDS = ["Conv2d", "ZeroPad2d", "AdaptiveAvgPool2d", "AdaptiveMaxPool2d", "Flatten"];

/** Return the probabilities of an image of bytes, and the maps of each convolution by its name. */
function run(network, image) {
  let values = Float32Array.from(image, (byte) => byte / 255);
  const maps = {};
  let convolution = null;
  for (const { name, kind, output, apply } of network) {
    if (ENDS.includes(kind)) convolution = null;
    values = apply(values);
    if (kind === "Conv2d") convolution = name;
    if (convolution) maps[convolution] = { values, shape: output };
  }
  return { probabilities: Array.from(values), maps };
}
