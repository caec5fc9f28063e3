-- The world a script lives in. Run once per engine, before anything else, with Lua's own globals in
-- reach and Rust's functions in `native`; returns what the engine calls.
--
-- Two things are done here. Tables that scripts share become read-only: a script gets a userdata in
-- their place, which passes reads on and refuses writes, so that not even rawset finds a table to
-- write to. And every function that catches errors lets pass the one that stops a script.

local native = ...

local rawpcall, rawxpcall, rawresume = pcall, xpcall, coroutine.resume
local error, type, select, tostring, tonumber = error, type, select, tostring, tonumber
local getmetatable, setmetatable, rawget, rawset = getmetatable, setmetatable, rawget, rawset
local next, pairs, unpack, newproxy = next, pairs, unpack, newproxy
local collectgarbage = collectgarbage
local concat = table.concat

local READONLY = "Attempt to modify a readonly table"

-- From the userdata a script sees to the table behind it.
local behind = setmetatable({}, { __mode = "k" })

local function refuse()
  error(READONLY, 2)
end

-- A read-only view of `t`.
local function readonly(t)
  local view = newproxy(true)
  local meta = getmetatable(view)
  meta.__index = t
  meta.__newindex = refuse
  meta.__len = function() return #t end
  meta.__tostring = function() return tostring(t) end
  meta.__metatable = false
  behind[view] = t
  return view
end

-- What reading an absent global does.
local function absent(_, name)
  error("Script attempted to access nonexistent global variable '" .. tostring(name) .. "'", 2)
end

local real = {}

-- Functions of the language -----------------------------------------------------------------------

for _, name in ipairs({
  "assert", "error", "gcinfo", "ipairs", "rawequal", "select", "tonumber", "tostring",
  "_VERSION",
}) do
  real[name] = _G[name]
end

local function caught(ok, err, ...)
  if ok then
    return ok, err, ...
  end
  err = native.thaw(err)
  if type(err) == "table" then
    -- As before Redis 7, when errors of commands were strings.
    local text = rawget(err, "err")
    if type(text) == "string" or type(text) == "number" then
      err = text
    end
  end
  return false, err
end

function real.pcall(...)
  return caught(rawpcall(...))
end

local function settled(ok, ...)
  if not ok then
    native.check_stopped()
  end
  return ok, ...
end

function real.xpcall(f, handler)
  return settled(rawxpcall(f, function(err) return handler(native.thaw(err)) end))
end

local function resumed(ok, err, ...)
  if ok then
    return ok, err, ...
  end
  return false, native.thaw(err)
end

real.coroutine = {
  create = coroutine.create, running = coroutine.running, status = coroutine.status,
  wrap = coroutine.wrap, yield = coroutine.yield,
  resume = function(...) return resumed(rawresume(...)) end,
}

function real.type(...)
  local kind = type(...)
  if kind == "userdata" and behind[(...)] then
    return "table"
  end
  return kind
end

function real.next(t, key)
  return next(behind[t] or t, key)
end

function real.pairs(t)
  if behind[t] then
    return real.next, t, nil
  end
  return pairs(t)
end

function real.rawget(t, key)
  return rawget(behind[t] or t, key)
end

function real.rawset(t, ...)
  if behind[t] then
    error(READONLY, 2)
  end
  return rawset(t, ...)
end

-- What scripts see as the metatables of views that have one.
local shown = setmetatable({}, { __mode = "k" })

local of_strings = getmetatable("")
local strings_view = nil

function real.getmetatable(...)
  local value = ...
  if behind[value] then
    return shown[value]
  end
  local meta = getmetatable(...)
  if meta == of_strings then
    return strings_view
  end
  return meta
end

function real.setmetatable(t, ...)
  if behind[t] then
    error(READONLY, 2)
  end
  return setmetatable(t, ...)
end

-- Values on the stack of a C function, which results share with arguments.
local STACK_MAX = 8000

local function bad_argument(index, expected, got)
  error("bad argument #" .. index .. " to 'unpack' (" .. expected .. " expected, got " .. got .. ")", 3)
end

-- Lua's own counts in 32-bit integers that overflow, and would name this file in its errors.
function real.unpack(...)
  local t, from, to = ...
  local count = select("#", ...)
  if type(t) ~= "table" then
    bad_argument(1, "table", count == 0 and "no value" or real.type(t))
  end
  local first, last = 1, #t
  if from ~= nil then
    first = tonumber(from)
  end
  if to ~= nil then
    last = tonumber(to)
  end
  if not first then
    bad_argument(2, "number", real.type(from))
  elseif not last then
    bad_argument(3, "number", real.type(to))
  end
  if not (last - first + 1 + count <= STACK_MAX and first >= -2147483648 and last < 2147483647) then
    error("too many results to unpack", 2)
  end
  return unpack(...)
end

function real.loadstring(text, name)
  return native.compile(text, name or text)
end

function real.load(reader, name)
  local pieces = {}
  while true do
    local piece = reader()
    if piece == nil or piece == "" then
      break
    end
    if type(piece) ~= "string" and type(piece) ~= "number" then
      error("reader function must return a string")
    end
    pieces[#pieces + 1] = piece
  end
  return native.compile(concat(pieces), name or "=(load)")
end

-- The collector works for all scripts; none changes how.
function real.collectgarbage(what, argument)
  if what == "count" then
    return collectgarbage("count")
  elseif what == nil or what == "collect" then
    return collectgarbage("collect")
  elseif what == "step" then
    return collectgarbage("step")
  elseif what == "stop" or what == "restart" then
    return 0
  elseif what == "setpause" or what == "setstepmul" then
    return 200
  end
  return collectgarbage(what, argument)
end

-- Libraries ---------------------------------------------------------------------------------------

local function with(library, replaced)
  local copy = {}
  for name, value in pairs(library) do
    copy[name] = value
  end
  for name, value in pairs(replaced) do
    copy[name] = value
  end
  return copy
end

real.string = with(string, native.string)
real.table = with(table, native.table)
real.math = with(math, native.math)
real.os = native.os
real.cjson = native.cjson
real.cmsgpack = native.cmsgpack
real.struct = native.struct
real.bit = native.bit

of_strings.__index = real.string
strings_view = readonly({ __index = readonly(real.string) })

-- Environments ------------------------------------------------------------------------------------

for _, name in ipairs({
  "coroutine", "string", "table", "math", "os", "cjson", "cmsgpack", "struct", "bit",
}) do
  real[name] = readonly(real[name])
end

-- An environment over `globals`: an empty table no script can reach as a table.
local function environment(globals)
  setmetatable(globals, { __index = absent })
  local view = readonly(globals)
  shown[view] = readonly({ __index = absent, __newindex = refuse })
  return setmetatable({}, { __index = globals, __newindex = refuse }), view
end

-- For EVAL.
local evals = with(real, {})
local api = readonly(with(native.api, native.eval_api))
evals.redis, evals.server = api, api
evals.__redis__err__handler = native.err_handler
evals.__server__err__handler = native.err_handler
local eval_environment, evals_view = environment(evals)
evals._G = evals_view

-- For functions: once they are called, and while their library is loaded.
local calls = with(real, {})
local calls_api = readonly(native.api)
calls.redis, calls.server = calls_api, calls_api
local _, calls_view = environment(calls)
calls._G = calls_view

-- Errors of register_function say by which of its two names it was called.
local function loading_api(register)
  local functions = with(native.loading_api, { register_function = register })
  return readonly(setmetatable(functions, { __index = absent }))
end
local loads = {}
loads.redis = loading_api(native.register_as_redis)
loads.server = loading_api(native.register_as_server)
setmetatable(loads, { __index = absent })
local library_meta = { __index = calls, __newindex = refuse }
local library_environment = setmetatable({}, library_meta)

-- What the engine calls ---------------------------------------------------------------------------

local handler, scripts, callbacks = native.handler, native.scripts, native.callbacks

return {
  eval_environment = eval_environment,
  library_environment = library_environment,
  run_script = function(number, keys, args)
    evals.KEYS, evals.ARGV = keys, args
    return rawxpcall(scripts[number], handler)
  end,
  run = function(f)
    return rawxpcall(f, handler)
  end,
  run_function = function(number, keys, args)
    local f = callbacks[number]
    return rawxpcall(function() return f(keys, args) end, handler)
  end,
  set_loading = function(loading)
    library_meta.__index = loading and loads or calls
  end,
}
