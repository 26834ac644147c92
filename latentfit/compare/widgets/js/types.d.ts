/**
 * The data contract of the page side: what `mount(element, kind, data)` takes, and what the modules hand each other.
 *
 * To put a widget into a page, write widgets.css into a style element and widgets.js into a script element of type
 * "module"; after it, in the same element, your own lines may call `mount`. Within anywidget, `render` joins the same
 * functions to a kernel.
 */

/** Bytes of a message, or base64 where the page came as JSON. */
export type Bytes = string | ArrayBuffer | ArrayBufferView;

export interface Scores {
  /** Decibels against the reference; 100 or more is "equal". */
  psnr?: number | null;
  /** Mean CIEDE2000 against the reference. */
  delta_e?: number | null;
  /** Milliseconds of a call. */
  ms?: number | null;
}

/** One picture: a URL, a file's bytes, raw pixels, a canvas, or the reason why there is none. */
export interface PictureSpec {
  /** A URL, also data:image/png;base64,… */
  src?: string;
  /** A picture file. */
  bytes?: Bytes;
  /** Raw RGB or RGBA of 8 bit, row by row; with `width` and `height`. */
  pixels?: Bytes;
  width?: number;
  height?: number;
  canvas?: HTMLCanvasElement;
  /** Stands where the picture would be. */
  reason?: string;
  label?: string;
  /** Small, under the label. */
  note?: string;
  scores?: Scores | null;
}

/** Little endian, C order. */
export interface NumberArray {
  shape: number[];
  dtype: "float32" | "float16" | "uint8";
  data: Bytes;
}

export type Numbers = NumberArray | number[][];

/** The colours of JupyterLab where they are, else those that the system prefers; or one of the two. */
export type Theme = "light" | "dark";

/** The line to a kernel; absent on a page without one. */
export interface Live {
  /** Ask; while one of this kind is on its way, only the newest waits. */
  newest(type: string, payload: object, buffers?: ArrayBuffer[]): void;
  question(type: string, payload: object): Promise<string>;
  file(name: string, buffer: ArrayBuffer): void;
}

export interface Common {
  theme?: Theme;
  title?: string;
  /** Python that makes the view again. */
  code?: string;
  /** Enlarge the smaller picture bilinearly; false: show its pixels as blocks. */
  smooth?: boolean;
  /** Most CSS pixels of a pane; absent: what the window's height allows. */
  height?: number | null;
  live?: Live;
}

export interface CurtainData extends Common {
  left: PictureSpec;
  right: PictureSpec;
  /** Percent of the width, 0 to 100. */
  position?: number;
}

export interface Step {
  index?: number | null;
  timestep?: number | null;
  sigma?: number | null;
  ms?: number | null;
  pictures?: Record<string, PictureSpec>;
}

export interface StepScrubberData extends Common {
  /** One pane each. */
  names: string[];
  steps: Step[];
  /** Number of the step that is shown first; absent: the last. */
  position?: number;
  /** Steps a second while it plays. */
  fps?: number;
}

export type Mode = "picture" | "lightness" | "delta_e" | "difference";
export type Layout = "split" | "grid" | "blink";
/** The colours' range of an error: a fixed one, or up to the largest error that is shown. */
export type Scale = "fixed" | "auto";
/** Whether a decoder saw a picture when it was fitted; null where nobody knows. */
export type Standing = "held_out" | "fitted_on" | null;

export interface WorkbenchView {
  sigma: number;
  gain: number;
  sides: Record<string, PictureSpec>;
}

export interface WorkbenchPicture {
  name: string;
  note?: string;
  thumb: PictureSpec;
  standing?: Standing;
  /** Name of a decoder -> its own standing, where that is another than the picture's. */
  standings?: Record<string, Standing>;
  /** The first one is the plain one (sigma 0, gain 1); the others make a slider with these stops. */
  views?: WorkbenchView[];
}

export interface WorkbenchSettings {
  /** Number of the picture. */
  picture: number;
  left: string;
  right: string;
  /** Names in the grid, at most six. */
  grid: string[];
  layout: Layout;
  mode: Mode;
  scale: Scale;
  sigma: number;
  gain: number;
  /** Stops, of pictures alone. */
  exposure: number;
}

export interface WorkbenchData extends Common, Partial<WorkbenchSettings> {
  pictures: WorkbenchPicture[];
  /** Names to choose from, in order. */
  sides: string[];
  /** The name that scores and error maps are against. */
  reference: string | null;
  /** End of the noise slider, with a kernel. */
  sigma_most?: number;
  /** Whether pictures may be dropped in, with a kernel. */
  drops?: boolean;
  position?: number;
}

export interface EditorPicture {
  name: string;
  /** (C, h, w), model domain; absent until the kernel sends it. */
  latents?: NumberArray;
  /** (3, h, w) in [0, 1]. */
  cells?: NumberArray | null;
}

/** A table as `PolynomialMap` and `Basis` have it. */
export interface TableForm {
  n_channels: number;
  kernels: number[];
  intercept?: boolean;
  terms: string[];
  /** For each term but the constant, the numbers of its variables; -1 is none. */
  factors: number[][];
}

export interface TableEditorData extends Common, TableForm {
  name: string;
  space: string;
  /** (1 + n_terms, 3), signed range: what "Reset" gives back. */
  coefficients: Numbers;
  /** What is shown first, where that is something else. */
  edited?: Numbers | null;
  /** Least squares, which "Nudge" goes a quarter of the way to. */
  solution?: Numbers | null;
  /** Where it is from. */
  solution_label?: string;
  truth?: string;
  pictures: EditorPicture[];
  /** A parsed latentfit-table/1, which "Export" writes with the edited numbers. */
  document?: Record<string, any> | null;
  /** ComfyUI's lines with {rows} and {bias} where the numbers go; or why ComfyUI cannot run this form. */
  comfyui?: { template?: string; edited?: string; reason?: string };
  picture?: number;
}

/** What every widget gives back; it also stands at `element.latentfit`. */
export interface Handle {
  el: HTMLElement;
  /** Resolved when the first picture is painted. */
  ready: Promise<unknown>;
  update(part: any): unknown;
  state(): Record<string, any>;
  destroy(): void;
  /** Show a word to the reader; "" takes it away. */
  say(text: string): void;
  /** The kernel went, or answers again. */
  lost?(isLost: boolean): void;
  [more: string]: any;
}

/** The part of a widget model of Jupyter that is used here. */
export interface Model {
  get(name: string): any;
  widget_manager?: {
    kernel?: {
      statusChanged?: {
        connect(slot: (...args: any[]) => void): void;
        disconnect(slot: (...args: any[]) => void): void;
      };
    };
  };
  send(message: object, callbacks?: unknown, buffers?: ArrayBuffer[]): void;
  on(event: string, listener: (...args: any[]) => void): void;
  off(event: string, listener: (...args: any[]) => void): void;
}

/** A message of the kernel. */
export interface Message {
  type: "heard" | "answer" | "update" | string;
  seq?: number;
  to?: number;
  text?: string;
  part?: any;
}

declare global {
  interface HTMLElement {
    latentfit?: Handle;
  }
}
