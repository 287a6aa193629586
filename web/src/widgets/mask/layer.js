/**
 * A mask as it is drawn: what it was, and the strokes since, so that each can be taken back.
 *
 * @module
 */

/** @typedef {{x: number, y: number}} Point */

/**
 * @typedef {{kind: 'stroke', erase: boolean, size: number, points: Point[]} | {kind: 'clear'} | {kind: 'invert'}} Step
 */

export class MaskLayer {
  /**
   * @param {HTMLCanvasElement} canvas what is masked is opaque on it
   * @param {string} colour
   */
  constructor(canvas, colour) {
    this.canvas = canvas;
    this.colour = colour;
    this.context = /** @type {CanvasRenderingContext2D} */ (canvas.getContext('2d', { willReadFrequently: true }));
    /** @type {Step[]} */
    this.steps = [];
    /** @type {Step[]} */
    this.undone = [];
    /** What the picture had when it was opened. @type {ImageData | null} */
    this.first = null;
  }

  /**
   * Begin with what is transparent in a picture.
   * @param {CanvasImageSource} picture
   */
  begin(picture) {
    const { context, canvas } = this;
    context.drawImage(picture, 0, 0, canvas.width, canvas.height);
    // What is left of the colour where the picture was opaque is what it lets through.
    context.globalCompositeOperation = 'source-out';
    context.fillStyle = this.colour;
    context.fillRect(0, 0, canvas.width, canvas.height);
    context.globalCompositeOperation = 'source-over';
    this.first = context.getImageData(0, 0, canvas.width, canvas.height);
  }

  /** @param {Step} step */
  add(step) {
    this.steps.push(step);
    this.undone = [];
    this.#draw(step);
  }

  /**
   * Draw on with the stroke that was added last.
   * @param {Point} point
   */
  extend(point) {
    const step = this.steps.at(-1);
    if (step?.kind !== 'stroke') return;
    const from = step.points.at(-1) ?? point;
    step.points.push(point);
    this.#line(step, [from, point]);
  }

  undo() {
    const step = this.steps.pop();
    if (!step) return;
    this.undone.push(step);
    this.#again();
  }

  redo() {
    const step = this.undone.pop();
    if (!step) return;
    this.steps.push(step);
    this.#draw(step);
  }

  /** How much of each pixel is masked, 0 to 255, in every fourth byte. */
  read() {
    return this.context.getImageData(0, 0, this.canvas.width, this.canvas.height).data;
  }

  #again() {
    const { context, canvas, first } = this;
    context.clearRect(0, 0, canvas.width, canvas.height);
    if (first) context.putImageData(first, 0, 0);
    for (const step of this.steps) this.#draw(step);
  }

  /** @param {Step} step */
  #draw(step) {
    const { context, canvas } = this;
    if (step.kind === 'stroke') return this.#line(step, step.points);
    if (step.kind === 'clear') return context.clearRect(0, 0, canvas.width, canvas.height);
    context.globalCompositeOperation = 'source-out';
    context.fillStyle = this.colour;
    context.fillRect(0, 0, canvas.width, canvas.height);
    context.globalCompositeOperation = 'source-over';
  }

  /**
   * @param {{erase: boolean, size: number}} brush
   * @param {readonly Point[]} points
   */
  #line({ erase, size }, points) {
    const { context } = this;
    const [first, ...rest] = points;
    if (!first) return;
    context.globalCompositeOperation = erase ? 'destination-out' : 'source-over';
    context.strokeStyle = this.colour;
    context.lineWidth = size;
    context.lineCap = 'round';
    context.lineJoin = 'round';
    context.beginPath();
    context.moveTo(first.x, first.y);
    // A line of no length is a dot, with round ends.
    for (const point of rest.length ? rest : [first]) context.lineTo(point.x, point.y);
    context.stroke();
    context.globalCompositeOperation = 'source-over';
  }
}
