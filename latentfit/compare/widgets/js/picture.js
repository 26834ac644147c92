import { make } from "./dom.js";
import { enlarge } from "./enlarge.js";
import { bytesOf } from "./numbers.js";

/** @typedef {import("./types.d.ts").PictureSpec} PictureSpec */

/** @type {(canvas: HTMLCanvasElement) => CanvasRenderingContext2D} */
export function contextOf(canvas) {
  const context = canvas.getContext("2d", { willReadFrequently: true });
  if (!context) throw new Error("latentfit: this browser gives no canvas to paint on");
  return context;
}

/** A picture that is loaded, with copies on larger grids. */
export class Picture {
  /** @type {Map<string, Picture>} */
  #grids = new Map();
  /** @type {ImageData | null} */
  #rgba = null;
  /** @type {HTMLCanvasElement | null} */
  canvas = null;
  /** Errors of each pixel, where the picture is a map of them. @type {import("./error_maps.js").ErrorMap | null} */
  errors = null;

  /** @param {PictureSpec} spec */
  constructor(spec = {}) {
    this.label = spec.label ?? "";
    this.note = spec.note ?? "";
    this.scores = spec.scores ?? null;
    this.reason = spec.reason ?? "";
    /** @type {Promise<Picture>} */
    this.ready = this.reason ? Promise.resolve(this) : this.#load(spec);
  }

  get width() {
    return this.canvas?.width ?? 0;
  }

  get height() {
    return this.canvas?.height ?? 0;
  }

  /** @param {PictureSpec} spec */
  #load(spec) {
    if (spec.canvas) this.canvas = spec.canvas;
    else if (spec.pixels) this.put(bytesOf(spec.pixels), spec.width ?? 0, spec.height ?? 0);
    else if (spec.src || spec.bytes) return this.#decode(spec);
    else this.reason = "no picture was given";
    return Promise.resolve(this);
  }

  /** @param {PictureSpec} spec */
  async #decode(spec) {
    const url = spec.src ?? URL.createObjectURL(new Blob([bytesOf(spec.bytes ?? "")]));
    try {
      const image = new Image();
      image.src = url;
      await image.decode();
      const canvas = make("canvas", { width: image.naturalWidth, height: image.naturalHeight });
      contextOf(canvas).drawImage(image, 0, 0);
      this.canvas = canvas;
    } catch {
      this.reason = "the picture cannot be decoded by this browser";
    } finally {
      if (!spec.src) URL.revokeObjectURL(url);
    }
    return this;
  }

  /**
   * Raw RGB or RGBA becomes the picture's pixels.
   *
   * @param {Uint8Array | Uint8ClampedArray} bytes
   * @param {number} width
   * @param {number} height
   */
  put(bytes, width, height) {
    const rgba = new ImageData(width, height);
    if (bytes.length === rgba.data.length) rgba.data.set(bytes);
    else {
      for (let from = 0, to = 0; to < rgba.data.length; from += 3, to += 4) {
        rgba.data[to] = bytes[from];
        rgba.data[to + 1] = bytes[from + 1];
        rgba.data[to + 2] = bytes[from + 2];
        rgba.data[to + 3] = 255;
      }
    }
    this.putImage(rgba);
  }

  /** @param {ImageData} rgba */
  putImage(rgba) {
    if (!this.canvas || this.width !== rgba.width || this.height !== rgba.height)
      this.canvas = make("canvas", { width: rgba.width, height: rgba.height });
    contextOf(this.canvas).putImageData(rgba, 0, 0);
    this.#rgba = rgba;
    this.#grids.clear();
  }

  /** The pixels; there is a picture. */
  get rgba() {
    if (!this.canvas) throw new Error(`latentfit: there are no pixels of ${this.label || "a picture"}: ${this.reason}`);
    this.#rgba ??= contextOf(this.canvas).getImageData(0, 0, this.width, this.height);
    return this.#rgba;
  }

  /**
   * This picture enlarged bilinearly to another grid of pixels, and kept.
   *
   * @param {number} width
   * @param {number} height
   * @returns {Picture}
   */
  onGrid(width, height) {
    if (width === this.width && height === this.height) return this;
    const key = `${width}x${height}`;
    const known = this.#grids.get(key);
    if (known) return known;
    const larger = new Picture({ pixels: enlarge(this.rgba, width, height), width, height });
    this.#grids.set(key, larger);
    return larger;
  }
}
