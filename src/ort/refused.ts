/** The operator that ONNX Runtime says it does not know, has no kernel for, or refuses types for, from its error message. */
export function refusedOperator(message: string): string | undefined {
  return (
    /implementation for ([\w.]+:)?(\w+)\(/.exec(message)?.[2] ??
    /find kernel for ([\w.]+\.)?(\w+)\(/.exec(message)?.[2] ??
    /(?:No Op registered for|Fatal error:) ([\w.]*:)?(\w+)/.exec(message)?.[2] ??
    /([\w.]+:)?(\w+)\(-?\d+\) is not a registered/.exec(message)?.[2] ??
    /of operator \((\w+)\)/.exec(message)?.[1]
  )
}
