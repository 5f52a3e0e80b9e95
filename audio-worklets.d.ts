/** What exists in an AudioWorkletGlobalScope; TypeScript's own library leaves it out. */

declare abstract class AudioWorkletProcessor {
  readonly port: MessagePort;
  abstract process(inputs: Float32Array[][], outputs: Float32Array[][]): boolean;
}

/** Hertz. */
declare const sampleRate: number;

declare function registerProcessor(name: string, processor: new (options: any) => AudioWorkletProcessor): void;
