"use strict";
/* The page: what is drawn or chosen goes through the preprocessing and the network; the answer and
   the feature maps are shown at each stroke. */
const $ = (id) => document.getElementById(id);
const pad = $("pad");
const SIDE = MODEL.image_size;
// Side of the drawing in pixels: few enough for every frame.
const DRAWN = Math.max(160, Math.round(1.5 * SIDE));
const MOST_CLASSES = 12; // shown all at once; of more, the most probable ones
const MOST_ROWS = 10;
const MOST_MAPS = 64; // of one convolution
const MOST_CONVOLUTIONS = 24;
const SLOW = 150; // milliseconds: whatever takes longer waits for the end of the stroke
/* One way to write each digit: strokes of points in hundredths of the pad. */
const EXAMPLES = [
  [[[50, 10], [28, 18], [20, 50], [28, 82], [50, 90], [72, 82], [80, 50], [72, 18], [50, 10]]],
  [[[36, 28], [54, 10]], [[54, 10], [54, 90]]],
  [[[24, 32], [30, 14], [50, 10], [70, 18], [72, 36], [56, 58], [24, 88]], [[24, 88], [78, 88]]],
  [[[26, 18], [48, 10], [70, 20], [68, 40], [46, 48]], [[46, 48], [72, 56], [74, 76], [52, 90], [26, 82]]],
  [[[56, 10], [22, 62]], [[22, 62], [80, 62]], [[62, 38], [62, 92]]],
  [[[72, 12], [34, 12]], [[34, 12], [30, 46]], [[30, 46], [52, 40], [72, 54], [70, 78], [48, 90], [26, 82]]],
  [[[64, 10], [40, 28], [28, 60], [36, 86], [56, 90], [72, 76], [66, 58], [48, 52], [30, 66]]],
  [[[22, 14], [78, 14]], [[78, 14], [44, 90]]],
  [[[50, 48], [30, 36], [32, 16], [50, 10], [68, 16], [70, 36], [50, 48], [28, 64], [30, 84], [50, 90], [70, 84], [72, 64], [50, 48]]],
  [[[70, 34], [56, 48], [36, 44], [30, 26], [44, 10], [64, 14], [70, 34], [66, 64], [52, 90]]],
];

let strokeWidth = 8; // in hundredths of the pad: about 2 of 28 pixels once it is scaled
let strokes = []; // of points in hundredths of the pad
let photo = null; // a picture in place of strokes
let network = null;
let result = null; // what the network was shown and what it answered
let pointer = null; // the one that draws
let took = 0; // milliseconds, the last answer

function paint(context, size, ink) {
  context.lineWidth = (strokeWidth * size) / 100;
  context.lineCap = context.lineJoin = "round";
  context.strokeStyle = context.fillStyle = ink;
  const at = ([x, y]) => [(x * size) / 100, (y * size) / 100];
  for (const stroke of strokes) {
    context.beginPath();
    context.moveTo(...at(stroke[0]));
    for (let i = 1; i < stroke.length - 1; i++) {
      const [x, y] = at(stroke[i]), [nextX, nextY] = at(stroke[i + 1]);
      context.quadraticCurveTo(x, y, (x + nextX) / 2, (y + nextY) / 2);
    }
    context.lineTo(...at(stroke[stroke.length - 1]));
    context.stroke();
  }
}

/** Return the drawing as the network's side sees it: light ink on a dark ground. */
function drawing() {
  const canvas = document.createElement("canvas");
  canvas.width = canvas.height = DRAWN;
  const context = canvas.getContext("2d", { willReadFrequently: true });
  context.fillStyle = "#000";
  context.fillRect(0, 0, DRAWN, DRAWN);
  paint(context, DRAWN, "#fff");
  return canvas;
}

function grey(canvas) {
  const { width, height } = canvas;
  const { data } = canvas.getContext("2d").getImageData(0, 0, width, height);
  return clearest(data, width, height);
}

function showPad() {
  const side = Math.max(Math.round(pad.clientWidth * (window.devicePixelRatio || 1)), 1);
  if (pad.width !== side) pad.width = pad.height = side;
  const context = pad.getContext("2d");
  context.clearRect(0, 0, side, side);
  if (photo) {
    const scale = side / Math.max(photo.width, photo.height);
    const width = photo.width * scale, height = photo.height * scale;
    context.drawImage(photo, (side - width) / 2, (side - height) / 2, width, height);
  }
  paint(context, side, getComputedStyle(document.body).color);
}

function showSeen(image) {
  const canvas = $("seen"), context = canvas.getContext("2d");
  const pixels = context.createImageData(SIDE, SIDE);
  image.forEach((value, i) => pixels.data.set([value, value, value, 255], 4 * i));
  context.putImageData(pixels, 0, 0);
  canvas.classList.toggle("fine", SIDE > canvas.clientWidth);
}

/** Return the colour of a share: dark blue, green, yellow, told apart by brightness alone too. */
function colour(share) {
  return [40 + 215 * share * share, 20 + 215 * share, 84 - 48 * share, 255];
}

const COLOURS = Array.from({ length: 256 }, (_, i) => colour(i / 255));

function showMaps(canvas, { values, shape: [channels, height, width] }) {
  const shown = Math.min(channels, MOST_MAPS);
  // Fewer large ones stand in a row, so that a phone still shows what is in them.
  const columns = Math.min(width > 16 ? 8 : 16, shown), rows = Math.ceil(shown / columns);
  const zoom = Math.ceil(12 / width); // so that the gap of a pixel stays narrow
  const right = width * zoom + 1, down = height * zoom + 1;
  canvas.width = columns * right - 1;
  canvas.height = rows * down - 1;
  canvas.classList.toggle("fine", canvas.width > canvas.clientWidth);
  let low = 0, high = 1e-9;
  for (const value of values) { low = Math.min(low, value); high = Math.max(high, value); }
  const context = canvas.getContext("2d");
  const image = context.createImageData(canvas.width, canvas.height);
  for (let y = 0; y < canvas.height; y++) for (let x = 0; x < canvas.width; x++) {
    const map = Math.floor(y / down) * columns + Math.floor(x / right);
    const i = Math.floor((y % down) / zoom), j = Math.floor((x % right) / zoom);
    if (map >= shown || i === height || j === width) continue;
    const share = (values[(i * width + j) * channels + map] - low) / (high - low);
    image.data.set(COLOURS[Math.round(255 * share)], 4 * (y * canvas.width + x));
  }
  context.putImageData(image, 0, 0);
}

function showBars({ probabilities, blank }) {
  const many = probabilities.length > MOST_CLASSES;
  const order = probabilities.map((_, i) => i);
  if (many) order.sort((a, b) => probabilities[b] - probabilities[a]);
  const best = order.reduce((a, b) => (probabilities[b] > probabilities[a] ? b : a));
  $("bars").hidden = many && blank; // none is the most probable of nothing
  const cells = $("bars").children;
  for (let row = 0; row < cells.length / 3; row++) {
    const [title, bar, number] = [0, 1, 2].map((part) => cells[3 * row + part]);
    const shown = blank ? 0 : probabilities[order[row]];
    title.textContent = title.title = MODEL.class_names[order[row]];
    bar.firstChild.style.width = `${100 * shown}%`;
    number.textContent = blank ? "" : shown.toFixed(3);
    for (const part of [title, number]) part.classList.toggle("best", !blank && order[row] === best);
  }
  return best;
}

function prompt() {
  if (MODEL.digits) return "Draw one, or choose an example.";
  const plain = MODEL.preprocessing === "plain";
  return plain ? "Choose a picture, or draw one." : "Draw one, or choose a picture.";
}

function showAnswer({ probabilities, blank, note }, best) {
  $("note").textContent = result && note ? `Take care: ${note}` : "";
  const plain = MODEL.preprocessing === "plain", answer = $("answer");
  if (!result) answer.textContent = prompt();
  else if (blank) answer.textContent = plain ? "This picture shows nothing." : "This picture has no ink.";
  else {
    const name = document.createElement("bdi"); // so that a name written from right to left stays one
    name.textContent = MODEL.class_names[best];
    const doubt = probabilities[best] < MODEL.unsure ? ", but it is not sure." : ".";
    answer.replaceChildren(`The network ${plain ? "sees" : "reads"} `, name, doubt);
  }
}

/** Return a square image turned by a quarter. */
function turned(image) {
  return image.map((_, i) => image[(i % SIDE) * SIDE + SIDE - 1 - Math.floor(i / SIDE)]);
}

/** Return what the network answers to an image, and the image: turned upright, if it lies on its side. */
function read(image, mayLie) {
  const turns = mayLie ? [image, turned(image), turned(turned(turned(image)))] : [image];
  const answers = turns.map((own) => run(network, own));
  const doubts = answers.map(({ probabilities }) => Math.max(1 - Math.max(...probabilities), MODEL.least_doubt));
  const best = doubts.indexOf(Math.min(...doubts));
  const at = doubts[0] > MODEL.surer * doubts[best] ? best : 0;
  return { image: turns[at], isTurned: at > 0, ...answers[at] };
}

function update() {
  const start = performance.now();
  showPad();
  const any = photo || strokes.length > 0;
  const prepared = any
    ? prepare(grey(photo || drawing()), MODEL.preprocessing, SIDE)
    : { image: new Uint8Array(SIDE * SIDE), blank: true, note: "" };
  const { image, isTurned, probabilities, maps } = read(prepared.image, photo && photo.mayLie);
  const { blank } = prepared, note = [prepared.note, isTurned && "turned upright"].filter(Boolean).join(", ");
  result = any ? { image, probabilities, blank, note } : null;
  showSeen(image);
  for (const canvas of document.querySelectorAll("canvas[data-convolution]")) {
    showMaps(canvas, maps[canvas.dataset.convolution]);
  }
  showAnswer({ probabilities, blank, note }, showBars({ probabilities, blank }));
  $("undo").disabled = $("clear").disabled = !any;
  took = performance.now() - start;
}

let waiting = false;
/** Show the drawing with the next frame, and the answer to it where that is quick enough. */
function soon() {
  if (waiting) return;
  waiting = true;
  requestAnimationFrame(() => {
    waiting = false;
    if (pointer !== null && took > SLOW) showPad();
    else update();
  });
}

function addBars() {
  const rows = MODEL.class_names.length > MOST_CLASSES ? MOST_ROWS : MODEL.class_names.length;
  for (let row = 0; row < rows; row++) {
    const [title, bar, number] = [0, 1, 2].map(() => document.createElement("div"));
    title.className = "name";
    title.dir = "auto";
    bar.className = "bar";
    bar.append(document.createElement("div"));
    $("bars").append(title, bar, number);
  }
}

function addExamples() {
  EXAMPLES.forEach((example, digit) => {
    const button = document.createElement("button");
    button.type = "button";
    button.textContent = digit;
    button.setAttribute("aria-label", `Draw a ${digit}`);
    button.onclick = () => { photo = null; strokes = structuredClone(example); update(); };
    $("examples").append(button);
  });
}

/** Return what is said of a convolution: its filters, what follows them, and its maps. */
function described(at) {
  const { name, arguments: given, output: [filters] } = MODEL.layers[at];
  let end = at + 1;
  while (!ENDS.includes(MODEL.layers[end].kind)) end++;
  const [channels, height, width] = MODEL.layers[end - 1].output;
  const after = MODEL.layers.slice(at + 1, end).map((layer) => layer.name);
  const maps = height * width === 1
    ? `${channels} numbers` : `${channels} ${channels === 1 ? "map" : "maps"} of ${height}×${width}`;
  const then = after.length ? `, then ${after.join(", ")}` : "";
  const cut = channels > MOST_MAPS ? ` The first ${MOST_MAPS} are shown.` : "";
  const kind = filters === 1 ? "filter" : "filters";
  return [`${name}: ${maps}`, `${filters} ${kind} of ${pair(given.kernel_size).join("×")}${then}.${cut}`];
}

function add(parent, kind, text) {
  const element = document.createElement(kind);
  element.textContent = text;
  if (kind === "p") element.className = "quiet";
  parent.append(element);
  return element;
}

function addMaps() {
  const all = MODEL.layers.flatMap(({ kind }, at) => (kind === "Conv2d" ? [at] : []));
  if (!all.length) return;
  add($("maps"), "h2", "What its convolutions find");
  const many = all.length > MOST_CONVOLUTIONS;
  const cut = many ? ` The first ${MOST_CONVOLUTIONS} of ${all.length} are shown.` : "";
  const text = "A map is bright where its filter finds what it looks for: a stroke or an edge at first, "
    + "corners and whole shapes further on.";
  add($("maps"), "p", text + cut);
  for (const at of all.slice(0, MOST_CONVOLUTIONS)) {
    const { name, output: [channels] } = MODEL.layers[at];
    const [title, text] = described(at);
    add($("maps"), "h3", title);
    add($("maps"), "p", text);
    const canvas = add($("maps"), "canvas", "");
    canvas.dataset.convolution = name;
    canvas.setAttribute("role", "img");
    canvas.setAttribute("aria-label", `Feature maps of ${name}`);
    if (channels < 8) canvas.style.maxWidth = `${7 * channels}rem`;
  }
}

function listenToPad() {
  const point = (event) => {
    const box = pad.getBoundingClientRect();
    return [(100 * (event.clientX - box.left)) / box.width, (100 * (event.clientY - box.top)) / box.height];
  };
  pad.onpointerdown = (event) => {
    if (pointer !== null || event.button > 0) return;
    pointer = event.pointerId;
    pad.setPointerCapture(pointer);
    if (photo) { photo = null; strokes = []; }
    strokes.push([point(event), point(event)]);
    soon();
  };
  pad.onpointermove = (event) => {
    if (event.pointerId !== pointer) return;
    const stroke = strokes[strokes.length - 1];
    for (const part of event.getCoalescedEvents?.() ?? []) stroke.push(point(part));
    stroke.push(point(event));
    soon();
  };
  pad.onpointerup = pad.onpointercancel = (event) => {
    if (event.pointerId !== pointer) return;
    pointer = null;
    if (took > SLOW) soon();
  };
}

/** Take a picture file in place of the drawing. */
async function take(file) {
  if (!file) return;
  try {
    const bitmap = await createImageBitmap(file);
    const scale = Math.min(1, 1024 / Math.max(bitmap.width, bitmap.height));
    const canvas = document.createElement("canvas");
    const [width, height] = [bitmap.width, bitmap.height].map((n) => Math.max(Math.round(n * scale), 1));
    canvas.width = width;
    canvas.height = height;
    const context = canvas.getContext("2d", { willReadFrequently: true });
    context.drawImage(bitmap, 0, 0, width, height);
    const ground = groundOf(context.getImageData(0, 0, width, height).data);
    context.globalCompositeOperation = "destination-over";
    context.fillStyle = `rgb(${ground}, ${ground}, ${ground})`;
    context.fillRect(0, 0, width, height);
    const sides = [bitmap.width, bitmap.height];
    canvas.mayLie = MODEL.preprocessing !== "plain"
      && Math.min(...sides) >= CONSTANTS.camera_shorter && Math.max(...sides) >= CONSTANTS.camera_longer;
    photo = canvas;
    strokes = [];
    update();
  } catch {
    $("answer").textContent = `This browser can't read ${file.name} as a picture.`;
  }
}

function listen() {
  listenToPad();
  $("undo").onclick = () => { if (photo) photo = null; else strokes.pop(); update(); };
  $("clear").onclick = () => { photo = null; strokes = []; update(); };
  $("file").onchange = (event) => { take(event.target.files[0]); event.target.value = ""; };
  document.ondragover = (event) => event.preventDefault();
  document.ondrop = (event) => { event.preventDefault(); take(event.dataTransfer.files[0]); };
  document.onkeydown = (event) => {
    if (!((event.ctrlKey || event.metaKey) && event.key === "z")) return;
    event.preventDefault();
    $("undo").click();
  };
  window.onresize = soon;
  matchMedia("(prefers-color-scheme: dark)").onchange = soon;
}

try {
  network = build(MODEL.layers, readWeights($("weights").textContent, MODEL.weights));
  addBars();
  if (MODEL.digits) addExamples();
  addMaps();
  listen();
  update();
} catch (error) {
  $("error").hidden = false;
  $("error").textContent = error.message;
  $("answer").textContent = "";
}
