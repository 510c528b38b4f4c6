// RFC 7396 merge patches. Bodies are shared between pages and are never changed in place: a patched body is new along
// the path of the change and shares the rest, so that "is it the same object" answers "did it change".

type Json = unknown;

const isObject = (value: Json): value is Record<string, Json> =>
  typeof value === "object" && value !== null && !Array.isArray(value);

export function mergePatch(target: Json, patch: Json): Json {
  if (!isObject(patch)) return patch;
  const result: Record<string, Json> = isObject(target) ? { ...target } : {};
  for (const [name, value] of Object.entries(patch)) {
    if (value === null) delete result[name];
    else Object.defineProperty(result, name, {
      value: mergePatch(Object.hasOwn(result, name) ? result[name] : undefined, value),
      enumerable: true, configurable: true, writable: true,  // a row may be called __proto__
    });
  }
  return result;
}
