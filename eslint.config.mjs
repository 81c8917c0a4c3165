// ESLint's rules for the page's script, matrix/report/templates/*.js.
//
// The page joins the files of scripts.json, in that order, into one scope. Each file declares a
// single name, its own: grid.js declares `grid`. In each file ESLint knows only the names of the
// files before it, so the rule no-undef refuses every circle among the files.

import { readFileSync } from 'node:fs';
import js from '@eslint/js';

const TEMPLATES = 'matrix/report/templates';
const SCRIPTS = JSON.parse(readFileSync(new URL(`${TEMPLATES}/scripts.json`, import.meta.url), 'utf8'));
const NAMES = SCRIPTS.map((file) => file.replace(/\.js$/, ''));

// The names of the browser that the script uses. They are listed one by one because the full list
// has names such as `open`, `status` and `stop`: with it, ESLint would not find out that the script
// lacks a variable of that name.
const BROWSER = [
  'atob',
  'Blob',
  'DecompressionStream',
  'document',
  'getComputedStyle',
  'getSelection',
  'history',
  'localStorage',
  'location',
  'navigator',
  'ResizeObserver',
  'Response',
  'URLSearchParams',
  'window',
];

const readonly = (names) => Object.fromEntries(names.map((name) => [name, 'readonly']));

const oneName = (name) => [
  'error',
  {
    selector: `Program > :not(ExpressionStatement, VariableDeclaration[declarations.0.id.name='${name}'])`,
    message: `At its top level this file may declare only '${name}': move everything else into its function.`,
  },
];

export default [
  js.configs.recommended,
  {
    rules: {
      'max-len': ['error', { code: 110, comments: 100 }],
      'no-shadow': ['error', { builtinGlobals: true, hoist: 'all' }],
    },
  },
  { files: ['eslint.config.mjs'], languageOptions: { globals: readonly(['URL']) } },
  {
    files: [`${TEMPLATES}/*.js`],
    languageOptions: { sourceType: 'script', parserOptions: { ecmaFeatures: { impliedStrict: true } } },
    rules: { 'no-unused-vars': ['error', { vars: 'local' }] }, // later files use the name at the top level
  },
  ...SCRIPTS.map((file, place) => ({
    files: [`${TEMPLATES}/${file}`],
    languageOptions: { globals: readonly([...BROWSER, ...NAMES.slice(0, place)]) },
    rules: { 'no-restricted-syntax': oneName(NAMES[place]) },
  })),
];
