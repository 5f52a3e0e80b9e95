import js from "@eslint/js";

/** Rules beside the recommended ones that find faults; style is left to the author. */
const faults = {
  "array-callback-return": "error",
  "consistent-return": "error",
  "default-case-last": "error",
  eqeqeq: "error",
  "guard-for-in": "error",
  "no-constructor-return": "error",
  "no-duplicate-imports": "error",
  "no-eval": "error",
  "no-implied-eval": "error",
  "no-loop-func": "error",
  "no-new-wrappers": "error",
  "no-param-reassign": "error",
  "no-self-compare": "error",
  "no-sequences": "error",
  "no-shadow": "error",
  "no-template-curly-in-string": "error",
  "no-throw-literal": "error",
  "no-unreachable-loop": "error",
  "no-unused-expressions": "error",
  "no-unused-private-class-members": "error",
  "no-use-before-define": ["error", { functions: false, classes: false, variables: false }],
  "no-useless-rename": "error",
  "no-useless-return": "error",
  "no-var": "error",
  "prefer-const": "error",
  "prefer-promise-reject-errors": "error",
};

export default [
  js.configs.recommended,
  {
    files: ["static/js/**/*.js"],
    linterOptions: { reportUnusedDisableDirectives: "error" },
    rules: {
      ...faults,
      "max-len": ["error", 120],
      "max-lines": ["error", 300],
      "no-undef": "off", // TypeScript finds unknown names, and knows which ones browsers have.
    },
  },
];
