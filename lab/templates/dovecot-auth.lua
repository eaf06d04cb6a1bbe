-- Who may sign in, and where mail lies: read from cPanel's own files at every question, so that each change acts at once.
--
--   local@domain   /etc/userdomains names the owner; /home/OWNER/etc/DOMAIN/{passwd,shadow,quota} the mailbox
--   owner          the account itself: /etc/passwd and /etc/shadow, mail in /home/OWNER/mail
--
-- An owner with a line in /var/cpanel/service_proxy_backends/OWNER has its IMAP and POP3 clients sent to that host.

local auth = dovecot.auth
local PROXY_PORTS = { imap = 993, pop3 = 995 }

-- Text of a file; nil when there is none. Anything else that stands in the way is an error, which Dovecot answers
-- with a temporary failure: a mailbox is never called unknown because a file could not be read.
local function read(path)
  local file, why, number = io.open(path, "r")
  if not file then
    if number == 2 or number == 20 then return nil end -- ENOENT, ENOTDIR
    error(path .. ": " .. tostring(why))
  end
  local text, problem = file:read("a")
  file:close()
  if not text then error(path .. ": " .. tostring(problem)) end
  return text
end

-- The fields of the line whose first field is `key`, in text with fields apart by colons.
local function line_of(text, key)
  for line in (text or ""):gmatch("[^\n]+") do
    local fields = {}
    for field in (line .. ":"):gmatch("([^:]*):") do fields[#fields + 1] = field end
    if fields[1] == key then return fields end
  end
  return nil
end

-- The value of `key` in "key: value" lines.
local function value_of(text, key)
  for line in (text or ""):gmatch("[^\n]+") do
    local name, value = line:match("^%s*([^:%s]+)%s*:%s*(.-)%s*$")
    if name == key then return value end
  end
  return nil
end

-- A name that may become part of a path.
local function clean(name)
  return name ~= nil and name ~= "" and #name < 255 and not name:find("[/%c%s]") and not name:find("..", 1, true)
    and name:sub(1, 1) ~= "."
end

local function is_account(user)
  return clean(user) and user:match("^[%w_%-]+$") and read("/var/cpanel/users/" .. user) ~= nil
end

-- What a login name means: { owner, domain, mailbox } with domain and mailbox nil for the account itself; nil for nobody.
local function meaning(login)
  local name = login:lower()
  local mailbox, domain = name:match("^(.+)@([^@]+)$")
  if not mailbox and name:find("+", 1, true) then mailbox, domain = name:match("^(.+)%+([^+]+)$") end
  if not mailbox then
    if is_account(name) then return { owner = name } end
    return nil
  end
  if not (clean(mailbox) and clean(domain)) then return nil end
  local hostname = (read("/etc/hostname") or ""):gsub("%s", "")
  if domain == hostname then
    if is_account(mailbox) then return { owner = mailbox } end
    return nil
  end
  local owner = value_of(read("/etc/userdomains"), domain)
  if not owner or not is_account(owner) then return nil end
  if mailbox == owner and value_of(read("/etc/trueuserdomains"), domain) == owner then return { owner = owner } end
  return { owner = owner, domain = domain, mailbox = mailbox }
end

local function canonical(who)
  if who.mailbox then return who.mailbox .. "@" .. who.domain end
  return who.owner
end

local function etc(who)
  return "/home/" .. who.owner .. "/etc/" .. who.domain
end

-- The host that serves an account's mail in place of this one.
local function backend(owner)
  local text = read("/var/cpanel/service_proxy_backends/" .. owner)
  local general
  for line in (text or ""):gmatch("[^\n]+") do
    local group, host = line:match("^%s*(%w+)%s*=%s*([%w%.%-:]+)%s*$")
    if group == "Mail" then return host end
    if group == "general" then general = host end
  end
  return general
end

function auth_passdb_lookup(req)
  local who = meaning(req.user)
  if not who then return auth.PASSDB_RESULT_USER_UNKNOWN, "" end
  if read("/var/cpanel/suspended/" .. who.owner) then return auth.PASSDB_RESULT_USER_DISABLED, "" end
  local port = PROXY_PORTS[req.service]
  local host = port and backend(who.owner)
  if host then
    return auth.PASSDB_RESULT_OK,
      { user = canonical(who), nopassword = "y", proxy = "y", host = host, port = tostring(port), ssl = "yes" }
  end
  local line
  if who.mailbox then
    if not line_of(read(etc(who) .. "/passwd"), who.mailbox) then return auth.PASSDB_RESULT_USER_UNKNOWN, "" end
    line = line_of(read(etc(who) .. "/shadow"), who.mailbox)
  else
    line = line_of(read("/etc/shadow"), who.owner)
  end
  local hash = line and line[2] or ""
  if hash:sub(1, 1) == "!" then return auth.PASSDB_RESULT_USER_DISABLED, "" end
  if hash == "" or hash:sub(1, 1) == "*" then return auth.PASSDB_RESULT_PASSWORD_MISMATCH, "" end
  return auth.PASSDB_RESULT_OK, { user = canonical(who), password = "{CRYPT}" .. hash }
end

function auth_userdb_lookup(req)
  local who = meaning(req.user)
  if not who then return auth.USERDB_RESULT_USER_UNKNOWN, "" end
  local account = line_of(read("/etc/passwd"), who.owner)
  if not account then return auth.USERDB_RESULT_USER_UNKNOWN, "" end
  local fields = { user = canonical(who), uid = account[3], gid = account[4], home = account[6] .. "/mail" }
  if who.mailbox then
    if not line_of(read(etc(who) .. "/passwd"), who.mailbox) then return auth.USERDB_RESULT_USER_UNKNOWN, "" end
    fields.home = account[6] .. "/mail/" .. who.domain .. "/" .. who.mailbox
    local quota = line_of(read(etc(who) .. "/quota"), who.mailbox)
    local bytes = quota and tonumber(quota[2])
    if bytes and bytes > 0 then fields.quota_rule = string.format("*:bytes=%d", bytes) end
  end
  return auth.USERDB_RESULT_OK, fields
end

-- All mailboxes and accounts, for `doveadm -A`.
function auth_userdb_iterate()
  local names = {}
  for line in (read("/etc/trueuserdomains") or ""):gmatch("[^\n]+") do
    local owner = line:match(":%s*([%w_%-]+)%s*$")
    if owner and is_account(owner) then names[#names + 1] = owner end
  end
  for line in (read("/etc/userdomains") or ""):gmatch("[^\n]+") do
    local domain, owner = line:match("^%s*([^:%s]+)%s*:%s*([%w_%-]+)%s*$")
    if domain and clean(domain) and is_account(owner) then
      local text = read("/home/" .. owner .. "/etc/" .. domain .. "/passwd") or ""
      for name in text:gmatch("([^:\n]+):[^\n]*") do
        if clean(name) then names[#names + 1] = name .. "@" .. domain end
      end
    end
  end
  return names
end
